package builder

import (
	"context"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
)

// askedAnew reports whether a fresh build asks the registry for an image. It does, unless the operator trusts the image and has it on an engine that
// never got it from a registry: one that was made there or loaded from a file. Whoever has its name in a public registry would else be asked for it.
func (b *Builder) askedAnew(ctx context.Context, image string) (bool, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return false, imageFault(fmt.Sprintf("%q is not the name of an image", image))
	}
	if !b.permission.trusted(named) {
		return true, nil
	}
	info, err := b.engine.ImageInspect(ctx, reference.FamiliarString(reference.TagNameOnly(named)))
	if cerrdefs.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, away(ctx, waitsForEngine, fmt.Errorf("look up image %s: %w", image, err))
	}
	return givenBy(named, info.RepoDigests), nil
}

// givenBy reports whether one of the digests under which an engine knows an image ("node@sha256:...") is of the named repository.
func givenBy(named reference.Named, digests []string) bool {
	for _, d := range digests {
		if known, err := reference.ParseNormalizedNamed(d); err == nil && known.Name() == named.Name() {
			return true
		}
	}
	return false
}

package builder

import (
	"context"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
)

// A base is an image that a build began with or copied from.
type base struct {
	ID     string `json:"id"`
	Digest string `json:"digest,omitempty"` // of the manifest that its registry gave; empty where it lay on the engine
}

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

// isStill reports whether a build would begin with the base again.
func (b *Builder) isStill(ctx context.Context, image string, as base) bool {
	info, err := b.engine.ImageInspect(ctx, familiar(image))
	if err == nil {
		return info.ID == as.ID
	}
	if !cerrdefs.IsNotFound(err) || as.Digest == "" {
		return false
	}
	given, err := b.engine.DistributionInspect(ctx, familiar(image), "")
	return err == nil && given.Descriptor.Digest.String() == as.Digest
}

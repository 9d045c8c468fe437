package builder

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"

	"vitrine/deployments"
)

// noCredentials is what the engine takes for a registry without a password: base64 of an empty JSON object.
var noCredentials = base64.URLEncoding.EncodeToString([]byte("{}"))

// Push implements [deployments.Builder]. All tags of an image have the same manifest. Pushing again is harmless. What the engine, the registry or its
// storage did is a [deployments.Unavailable].
func (b *Builder) Push(ctx context.Context, images []deployments.Image) ([]deployments.Image, error) {
	out := slices.Clone(images)
	group, ctx := errgroup.WithContext(ctx)
	for i := range out {
		group.Go(func() error {
			for _, reference := range out[i].References {
				digest, err := b.push(ctx, out[i].ID, reference)
				if err != nil {
					return fmt.Errorf("push %s: %w", reference, err)
				}
				out[i].Digest = digest
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// A pushMessage is what of the engine's stream of progress matters: an error, that it tries again, or the result (Engine API, POST
// /images/{name}/push).
type pushMessage struct {
	Error  string           `json:"error"`
	Status string           `json:"status"`
	Aux    types.PushResult `json:"aux"`
}

// again begins what an engine says, each second, while it waits to try a layer again.
const again = "Retrying in"

// push has the engine push one tag, and returns the digest of the manifest that the registry took. The tag is made first: nothing needed one by ID
// before, and environments share those, so that another's end may have taken it.
//
// An engine tries each layer five times, for some fifty seconds altogether. So the registry is asked before, and when the engine begins to try again:
// while its storage is away the push ends at once.
func (b *Builder) push(ctx context.Context, id, reference string) (string, error) {
	if err := b.engine.ImageTag(ctx, id, b.onEngine(reference)); err != nil {
		err = fmt.Errorf("tag it: %w", err)
		if cerrdefs.IsNotFound(err) {
			return "", err
		}
		return "", away(ctx, waitsForEngine, err)
	}
	if err := b.ready(ctx); err != nil {
		return "", err
	}
	stream, err := b.engine.ImagePush(ctx, b.onEngine(reference), image.PushOptions{RegistryAuth: noCredentials})
	if err != nil {
		return "", away(ctx, waitsForEngine, err)
	}
	defer stream.Close()
	var digest string
	for decoder := json.NewDecoder(stream); ; {
		var m pushMessage
		switch err := decoder.Decode(&m); {
		case errors.Is(err, io.EOF):
			if digest == "" {
				return "", away(ctx, waitsForEngine, errors.New("the engine ended without a digest"))
			}
			return digest, nil
		case err != nil:
			return "", away(ctx, waitsForEngine, err)
		case m.Error != "":
			return "", b.refused(ctx, m.Error)
		case strings.HasPrefix(m.Status, again):
			if err := b.ready(ctx); err != nil {
				return "", err
			}
		case m.Aux.Digest != "":
			digest = m.Aux.Digest
		}
	}
}

// refused says who is waited for after the engine ended a push with the words. It repeats the status of what the registry answered, and where it got no
// answer, the registry itself tells more.
func (b *Builder) refused(ctx context.Context, words string) error {
	err := errors.New(words)
	for _, status := range []int{
		http.StatusInsufficientStorage, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	} {
		if strings.Contains(words, fmt.Sprintf("%d %s", status, http.StatusText(status))) {
			return away(ctx, blamed(status), err)
		}
	}
	var u *deployments.Unavailable
	if errors.As(b.ready(ctx), &u) {
		return away(ctx, u.Neighbour, err)
	}
	return away(ctx, waitsForRegistry, err)
}

// Remove implements [deployments.Builder]. On the engine an image goes with its last tag; one that a container uses keeps it, which is an error.
// Every reference is tried, whatever becomes of the others. What the engine, the registry or its storage did is a [deployments.Unavailable].
func (b *Builder) Remove(ctx context.Context, references []string) error {
	var errs []error
	for _, reference := range references {
		if !strings.HasPrefix(reference, b.prefix) {
			errs = append(errs, fmt.Errorf("remove %s: it is not one of this instance", reference))
			continue
		}
		errs = append(errs, b.removeFromEngine(ctx, reference), b.removeFromRegistry(ctx, reference))
	}
	return errors.Join(errs...)
}

func (b *Builder) removeFromEngine(ctx context.Context, reference string) error {
	_, err := b.engine.ImageRemove(ctx, b.onEngine(reference), image.RemoveOptions{PruneChildren: true})
	if err != nil && !cerrdefs.IsNotFound(err) {
		return away(ctx, waitsForEngine, fmt.Errorf("untag %s: %w", reference, err))
	}
	return nil
}

// References implements [deployments.Builder]. They come sorted, each once. What the engine, the registry or its storage did is a
// [deployments.Unavailable].
func (b *Builder) References(ctx context.Context) ([]string, error) {
	images, err := b.engine.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return nil, away(ctx, waitsForEngine, fmt.Errorf("list the engine's images: %w", err))
	}
	var references []string
	for _, i := range images {
		for _, tag := range i.RepoTags {
			if reference, ok := b.ours(tag); ok {
				references = append(references, reference)
			}
		}
	}
	stored, err := b.catalogue(ctx)
	if err != nil {
		return nil, away(ctx, waitsForRegistry, fmt.Errorf("list the registry's images: %w", err))
	}
	references = append(references, stored...)
	slices.Sort(references)
	return slices.Compact(references), nil
}

// askRegistry asks the engine whether an image's registry gives it, without credentials. The engine's own words about a registry that does not are
// for our log only: they would tell a Dockerfile's author what answers in the host's network.
func (b *Builder) askRegistry(ctx context.Context, image string) error {
	_, err := b.engine.DistributionInspect(ctx, image, "")
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case client.IsErrConnectionFailed(err):
		return fmt.Errorf("ask for image %s: %w", image, err)
	}
	b.log.InfoContext(ctx, "image refused", "image", image, "error", err)
	return imageFault(fmt.Sprintf("image %q was not given by its registry; name a public one, or ask the operator to put it under trusted-images", image))
}

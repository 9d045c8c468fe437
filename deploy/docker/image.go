package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"golang.org/x/sync/errgroup"

	"vitrine/deploy"
	"vitrine/deployments"
)

const (
	registryTimeout = time.Minute     // for a registry to say what image a tag stands for
	pullStall       = 5 * time.Minute // without any progress of a pull
)

// errStalled is the cause of a pull's context that made no progress.
var errStalled = fmt.Errorf("no progress for %s", pullStall)

// images returns what each service of the stack is to run: the built image of its name, else what its reference stands for.
func (r *Runtime) images(ctx context.Context, stack deploy.Stack, built []deployments.Image) (map[string]deploy.Image, error) {
	ids := make(map[string]string, len(built))
	for _, b := range built {
		ids[b.Service] = b.ID
	}
	images := make(map[string]deploy.Image, len(stack.Services))
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range stack.Services {
		g.Go(func() error {
			img, err := r.image(ctx, s, ids[s.Name])
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			images[s.Name] = img
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return images, nil
}

func (r *Runtime) image(ctx context.Context, s deploy.Service, built string) (deploy.Image, error) {
	name := built
	if name == "" {
		if s.Image == "" {
			return deploy.Image{}, fmt.Errorf("look up image of service %q: it has no image, and none was built", s.Name)
		}
		var err error
		if name, err = r.allowed(ctx, s); err != nil {
			return deploy.Image{}, err
		}
	}
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := r.client.ImageInspect(limited, name)
	if err != nil {
		return deploy.Image{}, fmt.Errorf("look up image %s of service %q: %w", name, s.Name, err)
	}
	return described(found, s.Image), nil
}

// allowed holds the service's reference against the image rule, sees to it that the image lies on the engine, and returns the name to find it by.
// That name always has a tag or a digest, as the engine takes a bare word for the beginning of an image ID too.
func (r *Runtime) allowed(ctx context.Context, s deploy.Service) (string, error) {
	verdict, why := r.rule.Judge(s.Image)
	if verdict == deployments.VerdictRefused {
		return "", refused(s, why)
	}
	named, err := reference.ParseNormalizedNamed(s.Image)
	if err != nil {
		return "", refused(s, fmt.Sprintf("image %q is no valid reference: %v", s.Image, err))
	}
	named = reference.TagNameOnly(named)
	if verdict == deployments.VerdictAsk {
		if named, err = r.asked(ctx, s, named); err != nil {
			return "", err
		}
	}
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = r.client.ImageInspect(limited, named.String())
	if err == nil || !errdefs.IsNotFound(err) {
		return named.String(), err
	}
	return named.String(), r.pull(ctx, s, named)
}

// asked returns the reference by the digest that its registry gives for it, so that what is pulled is what was asked for.
func (r *Runtime) asked(ctx context.Context, s deploy.Service, named reference.Named) (reference.Named, error) {
	limited, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	answer, err := r.client.DistributionInspect(limited, named.String(), "")
	if err != nil {
		return nil, r.registryError(ctx, s, fmt.Errorf("ask registry for image %q: %w", s.Image, err))
	}
	pinned, err := reference.WithDigest(reference.TrimNamed(named), answer.Descriptor.Digest)
	if err != nil {
		return nil, fmt.Errorf("ask registry for image %q: %w", s.Image, err)
	}
	return pinned, nil
}

func (r *Runtime) pull(ctx context.Context, s deploy.Service, named reference.Named) (err error) {
	pulling, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	stalled := time.AfterFunc(pullStall, func() { stop(errStalled) })
	defer stalled.Stop()
	stream, err := r.client.ImagePull(pulling, named.String(), image.PullOptions{})
	if err != nil {
		return r.registryError(ctx, s, fmt.Errorf("pull image %q: %w", s.Image, cmp.Or(stall(pulling), err)))
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	for messages := json.NewDecoder(stream); ; {
		var m struct {
			Error string `json:"error"`
		}
		switch err := messages.Decode(&m); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return r.registryError(ctx, s, fmt.Errorf("pull image %q: %w", s.Image, cmp.Or(stall(pulling), err)))
		case m.Error != "":
			return r.registryError(ctx, s, fmt.Errorf("pull image %q: %w", s.Image, errors.New(m.Error)))
		}
		stalled.Reset(pullStall)
	}
}

// stall returns errStalled where that ended the pull.
func stall(pulling context.Context) error {
	if err := context.Cause(pulling); errors.Is(err, errStalled) {
		return err
	}
	return nil
}

// registryError makes a Fault of a registry's answer that the image is not there, or not for us. Otherwise somebody is away: the engine where it does
// not answer us, else the registry.
func (r *Runtime) registryError(ctx context.Context, s deploy.Service, err error) error {
	said := errors.Unwrap(err)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case full(err.Error()):
		return unavailable(err)
	case errdefs.IsNotFound(err), errdefs.IsUnauthorized(err), errdefs.IsPermissionDenied(err), errdefs.IsInvalidArgument(err), declined(said.Error()):
		return refused(s, fmt.Sprintf("image %q is not there, or not for everybody to pull: %v", s.Image, said))
	case strings.Contains(said.Error(), "no such host") && hasHost(s.Image):
		return refused(s, fmt.Sprintf("image %q is of a registry that does not exist: %v", s.Image, said))
	}
	if silent := r.answers(ctx); silent != nil || disconnected(err) && !errors.Is(err, context.DeadlineExceeded) {
		return cmp.Or(silent, unavailable(err))
	}
	return &deployments.Unavailable{Neighbour: "the registry of " + s.Image, Err: err}
}

// declined reports whether an engine's message in the middle of a pull says that the registry has the image not, or not for us, or not in a form that
// the engine can use. Such messages carry no status (distribution spec, "Error Codes"; moby distribution/).
func declined(message string) bool {
	for _, part := range []string{
		"manifest unknown", "no matching manifest", "unauthorized", "access denied", "access to the resource is denied", "unsupported media type",
		// What answers is no registry, but it says as much.
		"error parsing HTTP 401", "error parsing HTTP 403", "error parsing HTTP 404",
	} {
		if strings.Contains(message, part) {
			return true
		}
	}
	return false
}

// hasHost reports whether the reference names its registry; else the engine's default one is meant, which exists.
func hasHost(image string) bool {
	named, err := reference.ParseNormalizedNamed(image)
	return err == nil && strings.HasPrefix(image, reference.Domain(named)+"/")
}

func refused(s deploy.Service, reason string) error {
	return &deployments.Fault{Kind: deployments.FaultConfig, Service: s.Name, Reason: reason}
}

// described returns what a plan needs to know of an image.
func described(found image.InspectResponse, name string) deploy.Image {
	img := deploy.Image{ID: found.ID, Reference: name}
	if found.Config == nil {
		return img
	}
	if h := found.Config.Healthcheck; h != nil && len(h.Test) > 0 {
		img.Health = &deploy.Health{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, Retries: h.Retries, StartPeriod: h.StartPeriod}
	}
	for exposed := range found.Config.ExposedPorts {
		number, protocol, _ := strings.Cut(exposed, "/")
		if port, err := strconv.Atoi(number); err == nil && (protocol == "" || protocol == "tcp") {
			img.Ports = append(img.Ports, port)
		}
	}
	for target := range found.Config.Volumes {
		img.Volumes = append(img.Volumes, target)
	}
	return img
}

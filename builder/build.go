package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	"vitrine/deployments"
)

// tidyTime is how long the tags of a failed build may take to be removed.
const tidyTime = 10 * time.Second

// Build implements [deployments.Builder]. What keeps the engine from building is no Fault and says who is waited for. An image has its commit's tag on the
// engine when Build returns without an error; the tag by ID is made when it is pushed. When Build returns an error, none of the tags that it made is
// left, unless the engine went away meanwhile.
func (b *Builder) Build(ctx context.Context, req deployments.BuildRequest) ([]deployments.Image, error) {
	log := &sharedLog{w: req.Log}
	if req.Log == nil {
		log.w = io.Discard
	}
	mounts, err := b.cacheMounts(b.trustOf(req.Source), req.Fresh)
	if err != nil {
		return nil, away(ctx, waitsForFolder, err)
	}
	images := make([]deployments.Image, len(req.Builds))
	made := make([]bool, len(req.Builds))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, build := range req.Builds {
		group.Go(func() error {
			var err error
			images[i], made[i], err = b.buildOne(groupCtx, req, build, b.provenanceOf(req, build.Service, mounts), log)
			return ofService(build.Service, err)
		})
	}
	err = group.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, b.untag(ctx, images, made))
	}
	return images, nil
}

// buildOne builds one image under its commit's tag, and reports whether that tag was not there before.
func (b *Builder) buildOne(
	ctx context.Context, req deployments.BuildRequest, build deployments.Build, from provenance, log io.Writer,
) (deployments.Image, bool, error) {
	image := deployments.Image{Service: build.Service}
	if req.Source.Fork {
		build.Secrets = nil
	}
	r, err := readRecipe(req.Dir, build)
	if err != nil {
		return image, false, away(ctx, waitsForFolder, err)
	}
	if build.Static {
		if err := b.serving(ctx, r); err != nil {
			return image, false, err
		}
	}
	repository := b.repositoryOf(req.Source.Repo, build.Service)
	byCommit := repository + ":" + commitTag(req.Environment, req.Source)
	_, err = b.engine.ImageInspect(ctx, b.onEngine(byCommit))
	if err != nil && !cerrdefs.IsNotFound(err) {
		return image, false, away(ctx, waitsForEngine, fmt.Errorf("ask the engine for %s: %w", byCommit, err))
	}
	made := err != nil
	image.References = []string{byCommit}
	s := newSteps(build.Service, req.Mask, log, req.Progress)
	image.ID, err = b.solve(ctx, from, build, r, b.onEngine(byCommit), s)
	if err != nil {
		return image, made, err
	}
	image.Cached = s.cached()
	image.References = []string{repository + ":" + idTag(image.ID), byCommit}
	return image, made, nil
}

// untag removes the commit's tags that a failed build made.
func (b *Builder) untag(ctx context.Context, images []deployments.Image, made []bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	var errs []error
	for i, image := range images {
		if made[i] && len(image.References) > 0 {
			errs = append(errs, b.removeFromEngine(ctx, image.References[len(image.References)-1]))
		}
	}
	return errors.Join(errs...)
}

// ofService names the service in a Fault.
func ofService(service string, err error) error {
	var f *deployments.Fault
	if errors.As(err, &f) {
		named := *f
		named.Service = service
		return &named
	}
	if err != nil {
		return fmt.Errorf("service %q: %w", service, err)
	}
	return nil
}

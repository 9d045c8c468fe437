package main

import (
	"context"
	"errors"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// removeBase removes the base image, and every container and image that stands on it, whoever of the contestants made it and however far it came. Where
// there is no such image it does nothing.
func removeBase(ctx context.Context, name string) error {
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer engine.Close()
	base, err := engine.ImageInspect(ctx, name)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up image %s: %w", name, err)
	}
	if len(base.RootFS.Layers) == 0 {
		return fmt.Errorf("image %s has no layer to know its children by", name)
	}
	containers, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("ancestor", base.ID))})
	if err != nil {
		return fmt.Errorf("list what runs on %s: %w", name, err)
	}
	var errs []error
	for _, c := range containers {
		errs = append(errs, tolerant(engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})))
	}
	return errors.Join(append(errs, removeWithLayer(ctx, engine, base.RootFS.Layers[0]))...)
}

// removeWithLayer removes every image whose first layer is the given one. Images without a name that others stand on go with those.
func removeWithLayer(ctx context.Context, engine *client.Client, layer string) error {
	images, err := engine.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	var errs []error
	for _, i := range images {
		found, err := engine.ImageInspect(ctx, i.ID)
		if cerrdefs.IsNotFound(err) {
			continue // somebody else's, removed meanwhile
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("look up image %s: %w", i.ID, err))
			continue
		}
		if len(found.RootFS.Layers) == 0 || found.RootFS.Layers[0] != layer {
			continue
		}
		names := found.RepoTags
		if len(names) == 0 {
			names = []string{found.ID}
		}
		for _, name := range names {
			_, err := engine.ImageRemove(ctx, name, image.RemoveOptions{PruneChildren: true})
			errs = append(errs, tolerant(err))
		}
	}
	return errors.Join(errs...)
}

// tolerant returns no error for what is gone already.
func tolerant(err error) error {
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return err
}

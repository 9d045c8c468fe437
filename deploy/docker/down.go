package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"vitrine/deploy"
)

// downRounds is how often Down looks again for what came into being meanwhile: a creation that a killed process had under way.
const downRounds = 5

// removeTimeout bounds the removal of one container. It gets a minute at most to stop by itself, as package deploy has it.
const removeTimeout = 3 * time.Minute

// objects are what the engine has with certain labels.
type objects struct {
	containers []container.Summary
	networks   []network.Summary
	volumes    []*volume.Volume
}

func (o objects) empty() bool {
	return len(o.containers)+len(o.networks)+len(o.volumes) == 0
}

// Down implements [deployments.Runtime]. Containers are stopped side by side, each with its own signal and grace, and looked for again afterwards, so
// that nothing is left when it returns nil.
func (r *Runtime) Down(ctx context.Context, deployment int64) error {
	r.removing.Store(deployment, true)
	defer r.removing.Delete(deployment)
	err := r.attended(ctx, func(ctx context.Context) error { return r.down(ctx, deployment) })
	if err != nil {
		return fmt.Errorf("remove deployment %d: %w", deployment, err)
	}
	return nil
}

func (r *Runtime) down(ctx context.Context, deployment int64) error {
	for range downRounds {
		found, err := r.find(ctx, filters.NewArgs(r.ours(), filters.Arg("label", deploy.LabelDeployment+"="+strconv.FormatInt(deployment, 10))))
		if err != nil || found.empty() {
			return err
		}
		if err := r.remove(ctx, found); err != nil {
			return err
		}
	}
	return errors.New("something makes its objects anew")
}

// Inventory implements [deployments.Runtime]: the deployments of this instance that a container, a network or a volume belongs to, in order.
func (r *Runtime) Inventory(ctx context.Context) ([]int64, error) {
	found, err := r.all(ctx)
	if err != nil {
		return nil, fmt.Errorf("list deployments on the engine: %w", err)
	}
	var ids []int64
	add := func(kind, name string, labels map[string]string) {
		id, err := strconv.ParseInt(labels[deploy.LabelDeployment], 10, 64)
		if err != nil {
			r.log.Warn("object of this instance has no deployment", "kind", kind, "name", name, "label", labels[deploy.LabelDeployment])
			return
		}
		ids = append(ids, id)
	}
	for _, c := range found.containers {
		add("container", c.ID, c.Labels)
	}
	for _, n := range found.networks {
		add("network", n.Name, n.Labels)
	}
	for _, v := range found.volumes {
		add("volume", v.Name, v.Labels)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

func (r *Runtime) ours() filters.KeyValuePair {
	return filters.Arg("label", deploy.LabelInstance+"="+r.instance)
}

// all returns what the engine has of this instance.
func (r *Runtime) all(ctx context.Context) (found objects, err error) {
	err = r.briefly(ctx, func(ctx context.Context) (err error) {
		found, err = r.find(ctx, filters.NewArgs(r.ours()))
		return err
	})
	return found, err
}

func (r *Runtime) find(ctx context.Context, by filters.Args) (objects, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	containers, err := r.client.ContainerList(ctx, container.ListOptions{All: true, Filters: by})
	if err != nil {
		return objects{}, fmt.Errorf("list containers: %w", err)
	}
	networks, err := r.client.NetworkList(ctx, network.ListOptions{Filters: by})
	if err != nil {
		return objects{}, fmt.Errorf("list networks: %w", err)
	}
	volumes, err := r.client.VolumeList(ctx, volume.ListOptions{Filters: by})
	if err != nil {
		return objects{}, fmt.Errorf("list volumes: %w", err)
	}
	return objects{containers: containers, networks: networks, volumes: volumes.Volumes}, nil
}

// remove takes the objects away: containers first, as networks and volumes cannot go while one uses them.
func (r *Runtime) remove(ctx context.Context, o objects) error {
	err := together(ctx, o.containers, func(ctx context.Context, c container.Summary) error { return r.removeContainer(ctx, c.ID) })
	if err != nil {
		return err
	}
	return errors.Join(
		together(ctx, o.networks, func(ctx context.Context, n network.Summary) error { return r.removeNetwork(ctx, n.ID) }),
		together(ctx, o.volumes, func(ctx context.Context, v *volume.Volume) error {
			if err := r.client.VolumeRemove(ctx, v.Name, false); err != nil && !errdefs.IsNotFound(err) {
				return fmt.Errorf("remove volume %s: %w", v.Name, err)
			}
			return nil
		}),
	)
}

// together calls do for each item side by side and returns all errors.
func together[T any](ctx context.Context, items []T, do func(context.Context, T) error) error {
	errs := make([]error, len(items))
	var g sync.WaitGroup
	for i, item := range items {
		g.Go(func() { errs[i] = do(ctx, item) })
	}
	g.Wait()
	return errors.Join(errs...)
}

// removeContainer stops the container as it asks to be stopped, and removes it with its unnamed volumes.
func (r *Runtime) removeContainer(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	if err := r.client.ContainerStop(ctx, id, container.StopOptions{}); err != nil && !errdefs.IsNotFound(err) {
		if ctx.Err() != nil {
			return fmt.Errorf("stop container %s: %w", id, err)
		}
		r.log.Warn("container does not stop and is killed", "container", id, "error", err)
	}
	err := r.client.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if errdefs.IsConflict(err) { // somebody else is removing it
		return r.removed(ctx, id)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	return nil
}

// removed waits until the container is gone.
func (r *Runtime) removed(ctx context.Context, id string) error {
	results, errs := r.client.ContainerWait(ctx, id, container.WaitConditionRemoved)
	select {
	case <-results:
		return nil
	case err := <-errs:
		if err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("wait for container %s to be removed: %w", id, err)
		}
		return nil
	}
}

// removeNetwork removes the network. A foreign container that somebody connected to it is disconnected, and otherwise left alone.
func (r *Runtime) removeNetwork(ctx context.Context, id string) error {
	err := r.client.NetworkRemove(ctx, id)
	if err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	found, inspectErr := r.client.NetworkInspect(ctx, id, network.InspectOptions{})
	if inspectErr != nil {
		return fmt.Errorf("remove network %s: %w", id, errors.Join(err, inspectErr))
	}
	for endpoint := range found.Containers {
		if err := r.client.NetworkDisconnect(ctx, id, endpoint, true); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove network %s: disconnect container %s: %w", found.Name, endpoint, err)
		}
		r.log.Warn("foreign container disconnected", "network", found.Name, "container", endpoint)
	}
	if err := r.client.NetworkRemove(ctx, id); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove network %s: %w", found.Name, err)
	}
	return nil
}

// Objects lists what this instance has on the engine, for people: "container NAME", "network NAME", "volume NAME".
func (r *Runtime) Objects(ctx context.Context) ([]string, error) {
	found, err := r.all(ctx)
	if err != nil {
		return nil, fmt.Errorf("list objects on the engine: %w", err)
	}
	var objects []string
	for _, c := range found.containers {
		objects = append(objects, "container "+strings.TrimPrefix(strings.Join(c.Names, ","), "/"))
	}
	for _, n := range found.networks {
		objects = append(objects, "network "+n.Name)
	}
	for _, v := range found.volumes {
		objects = append(objects, "volume "+v.Name)
	}
	return objects, nil
}

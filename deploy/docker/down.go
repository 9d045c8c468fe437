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
	"vitrine/deployments"
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
	err := r.attended(ctx, func(ctx context.Context) error { return r.down(ctx, ofDeployment(deployment)) })
	if err != nil {
		return fmt.Errorf("remove deployment %d: %w", deployment, err)
	}
	return nil
}

// down removes what has the label, until nothing has it any more.
func (r *Runtime) down(ctx context.Context, label filters.KeyValuePair) error {
	for range downRounds {
		found, err := r.find(ctx, filters.NewArgs(r.ours(), label))
		if err != nil || found.empty() {
			return err
		}
		if err := r.remove(ctx, found); err != nil {
			return err
		}
	}
	return errors.New("something makes its objects anew")
}

// Inventory implements [deployments.Runtime]: the deployments and the states of this instance that a container, a network or a volume belongs to.
func (r *Runtime) Inventory(ctx context.Context) (deployments.Inventory, error) {
	found, err := r.all(ctx)
	if err != nil {
		return deployments.Inventory{}, fmt.Errorf("list deployments on the engine: %w", err)
	}
	var inventory deployments.Inventory
	add := func(kind, name string, labels map[string]string) {
		deployment, ofDeployment := number(labels, deploy.LabelDeployment)
		state, ofState := number(labels, deploy.LabelState)
		switch {
		case ofDeployment:
			inventory.Deployments = append(inventory.Deployments, deployment)
		case ofState:
			inventory.States = append(inventory.States, state)
		default:
			r.log.Warn("object of this instance has neither deployment nor state", "kind", kind, "name", name)
		}
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
	for _, ids := range []*[]int64{&inventory.Deployments, &inventory.States} {
		slices.Sort(*ids)
		*ids = slices.Compact(*ids)
	}
	return inventory, nil
}

// number returns the number that a label has, and whether it has one.
func number(labels map[string]string, label string) (int64, bool) {
	n, err := strconv.ParseInt(labels[label], 10, 64)
	return n, err == nil
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
		together(ctx, o.networks, func(ctx context.Context, n network.Summary) error { return r.removeNetwork(ctx, n) }),
		together(ctx, o.volumes, func(ctx context.Context, v *volume.Volume) error { return r.removeVolume(ctx, v.Name) }),
	)
}

// removeVolume removes the volume, and before it the containers of ours that use it.
func (r *Runtime) removeVolume(ctx context.Context, name string) error {
	err := r.client.VolumeRemove(ctx, name, false)
	if err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	users, listErr := r.client.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(r.ours(), filters.Arg("volume", name))})
	if listErr != nil || len(users) == 0 {
		return fmt.Errorf("remove volume %s: %w", name, errors.Join(err, listErr))
	}
	if err := together(ctx, users, func(ctx context.Context, c container.Summary) error { return r.removeContainer(ctx, c.ID) }); err != nil {
		return err
	}
	if err := r.client.VolumeRemove(ctx, name, false); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove volume %s: %w", name, err)
	}
	return nil
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
	r.stopped.Store(id, true)
	if err := r.client.ContainerStop(ctx, id, container.StopOptions{}); err != nil && !errdefs.IsNotFound(err) {
		if ctx.Err() != nil {
			return fmt.Errorf("stop container %s: %w", id, err)
		}
		r.log.Warn("container does not stop and is killed", "container", id, "error", err)
	}
	r.keepOutput(ctx, id)
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

// removeNetwork removes the network. What environments keep is disconnected from it. A foreign container that somebody connected to it is disconnected, too,
// and otherwise left alone.
func (r *Runtime) removeNetwork(ctx context.Context, n network.Summary) error {
	id := n.ID
	if err := r.release(ctx, n.Name, id); err != nil {
		return err
	}
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

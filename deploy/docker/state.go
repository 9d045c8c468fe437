package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"vitrine/deploy"
)

// Clear implements [deployments.Runtime]. Containers of ours that use a volume of the state are removed too, whichever deployment they are of.
func (r *Runtime) Clear(ctx context.Context, state int64) error {
	err := r.attended(ctx, func(ctx context.Context) error { return r.down(ctx, ofState(state)) })
	if err != nil {
		return fmt.Errorf("remove state %d: %w", state, err)
	}
	return nil
}

// ofState and ofDeployment are the labels by which what belongs to a state and to a deployment is found.
func ofState(state int64) filters.KeyValuePair {
	return filters.Arg("label", deploy.LabelState+"="+strconv.FormatInt(state, 10))
}

func ofDeployment(deployment int64) filters.KeyValuePair {
	return filters.Arg("label", deploy.LabelDeployment+"="+strconv.FormatInt(deployment, 10))
}

// stateContainers lists the containers of the state, the stopped ones too.
func (r *Runtime) stateContainers(ctx context.Context, state int64) ([]container.Summary, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := r.client.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(r.ours(), ofState(state))})
	if err != nil {
		return nil, fmt.Errorf("list containers of state %d: %w", state, err)
	}
	return found, nil
}

func nameOf(c container.Summary) string { return strings.TrimPrefix(strings.Join(c.Names, ""), "/") }

// tidy removes the state's containers that neither the plan keeps nor the live one has: an attempt that was killed has left them half made.
func (s *start) tidy(ctx context.Context) error {
	known := slices.Concat(s.plan.Stops(), s.plan.Drains)
	for _, c := range s.plan.Containers {
		if c.Kept {
			known = append(known, c.Name)
		}
	}
	return s.removeState(ctx, func(c container.Summary) bool { return !slices.Contains(known, nameOf(c)) })
}

// outgrown removes the state's containers that the plan does not have. Those that are to drain stay while the network of what they drain for does.
func (s *start) outgrown(ctx context.Context) error {
	return s.removeState(ctx, func(c container.Summary) bool {
		name := nameOf(c)
		has := slices.ContainsFunc(s.plan.Containers, func(p deploy.Container) bool { return p.Name == name })
		drains := slices.Contains(s.plan.Drains, name) && c.NetworkSettings != nil && len(c.NetworkSettings.Networks) > 0
		return !has && !drains
	})
}

func (s *start) removeState(ctx context.Context, which func(container.Summary) bool) error {
	if s.plan.State == 0 {
		return nil
	}
	found, err := s.stateContainers(ctx, s.plan.State)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(c container.Summary) bool { return !which(c) })
	return together(ctx, found, func(ctx context.Context, c container.Summary) error {
		s.log.Info("remove container of the state that the plan does not have", "container", nameOf(c), "deployment", s.plan.Deployment)
		return s.removeContainer(ctx, c.ID)
	})
}

// makeWay stops the containers whose place the service takes.
func (s *start) makeWay(ctx context.Context, svc *service) error {
	return together(ctx, svc.Stops, func(ctx context.Context, name string) error {
		ctx, cancel := context.WithTimeout(ctx, removeTimeout)
		defer cancel()
		s.stopped.Store(name, true)
		if err := s.client.ContainerStop(ctx, name, container.StopOptions{}); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("stop container %s, whose place %s takes: %w", name, svc.Name, err)
		}
		return nil
	})
}

// join connects a container of the state that was there before to the plan's network, unless it is.
func (s *start) join(ctx context.Context, svc *service) error {
	ctx, cancel := lasting(ctx)
	defer cancel()
	err := s.client.NetworkConnect(ctx, s.plan.Network.Name, svc.id, endpointOf(svc.Container))
	if err == nil {
		return nil
	}
	found, inspectErr := s.client.ContainerInspect(ctx, svc.id)
	if inspectErr == nil && found.NetworkSettings != nil && sits(found.NetworkSettings.Networks[s.plan.Network.Name], svc) {
		return nil
	}
	return fmt.Errorf("connect container %s to network %s: %w", svc.Name, s.plan.Network.Name, errors.Join(err, inspectErr))
}

// sits reports whether the endpoint is the one that the plan wants.
func sits(endpoint *network.EndpointSettings, svc *service) bool {
	return endpoint != nil && endpoint.IPAMConfig != nil && endpoint.IPAMConfig.IPv4Address == svc.Address.String()
}

// release disconnects the containers of states from the network, which is about to go: one that is stopped could not be started again otherwise.
func (r *Runtime) release(ctx context.Context, name, id string) error {
	found, err := r.client.ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(r.ours(), filters.Arg("label", deploy.LabelState)),
	})
	if err != nil {
		return fmt.Errorf("list containers of states: %w", err)
	}
	for _, c := range found {
		if c.NetworkSettings == nil || c.NetworkSettings.Networks[name] == nil {
			continue
		}
		err := r.client.NetworkDisconnect(ctx, id, c.ID, true)
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			return fmt.Errorf("disconnect container %s from network %s: %w", nameOf(c), name, err)
		}
	}
	return nil
}

package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/pkg/stdcopy"

	"vitrine/deploy"
)

// oneShotProcesses is how many processes and threads a one-shot may have.
const oneShotProcesses = 64

// RunOneShot runs a program and returns what it printed to its standard output, once it has ended and nothing is left of it. One that ends with another status
// than 0 is an error with what it printed to its standard error. Only one may run at a time.
func (r *Runtime) RunOneShot(ctx context.Context, o deploy.OneShot) (stdout []byte, err error) {
	err = r.briefly(ctx, func(ctx context.Context) (err error) {
		stdout, err = r.oneShot(ctx, o)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("run %s in a container: %w", strings.Join(o.Command, " "), err)
	}
	return stdout, nil
}

func (r *Runtime) oneShot(ctx context.Context, o deploy.OneShot) (stdout []byte, err error) {
	// What one left whose server was killed would be in the way.
	if err := r.down(ctx, ofDeployment(deploy.OneShotDeployment)); err != nil {
		return nil, err
	}
	defer func() {
		ending, cancel := lasting(ctx)
		defer cancel()
		err = errors.Join(err, r.down(ending, ofDeployment(deploy.OneShotDeployment)))
	}()
	config, host, err := r.oneShotConfig(ctx, o)
	if err != nil {
		return nil, err
	}
	making, cancel := lasting(ctx)
	made, err := r.client.ContainerCreate(making, config, host, nil, nil, "")
	cancel()
	if err != nil {
		return nil, fmt.Errorf("create its container: %w", err)
	}
	waiting, stop := context.WithCancel(ctx)
	results, errs := r.client.ContainerWait(waiting, made.ID, container.WaitConditionNextExit)
	status, err := int64(0), r.client.ContainerStart(ctx, made.ID, container.StartOptions{})
	if err == nil {
		select {
		case result := <-results:
			status = result.StatusCode
		case err = <-errs:
		}
		stop()
	} else {
		err = fmt.Errorf("start its container: %w", err)
		stop()
		select { // the client's goroutine ends once it got rid of its word
		case <-results:
		case <-errs:
		}
	}
	if err != nil {
		return nil, err
	}
	return r.outputOf(ctx, made.ID, status)
}

// oneShotConfig returns what the container is made from, and makes its network.
func (r *Runtime) oneShotConfig(ctx context.Context, o deploy.OneShot) (*container.Config, *container.HostConfig, error) {
	pids := int64(oneShotProcesses)
	host := &container.HostConfig{
		NetworkMode: network.NetworkHost,
		// The capability counts in the user namespace that the host's network belongs to, and the engine allows that network in no other.
		UsernsMode:     "host",
		CapDrop:        []string{"ALL"},
		SecurityOpt:    []string{"no-new-privileges:true"},
		ReadonlyRootfs: true,
		LogConfig:      container.LogConfig{Type: "json-file"},
		Resources:      container.Resources{PidsLimit: &pids},
	}
	if o.NetAdmin {
		host.CapAdd = []string{"NET_ADMIN"}
	}
	labels := map[string]string{deploy.LabelInstance: r.instance, deploy.LabelDeployment: fmt.Sprint(deploy.OneShotDeployment)}
	if o.Subnet.IsValid() {
		n, err := deploy.NewNetwork(r.instance, deploy.OneShotDeployment, o.Subnet)
		if err != nil {
			return nil, nil, err
		}
		if err := r.makeNetwork(ctx, n); err != nil {
			return nil, nil, err
		}
		host.NetworkMode, host.UsernsMode = container.NetworkMode(n.Name), ""
	}
	return &container.Config{Image: o.Image, Entrypoint: o.Command, Labels: labels}, host, nil
}

// outputOf returns what a one-shot printed that has ended.
func (r *Runtime) outputOf(ctx context.Context, id string, status int64) ([]byte, error) {
	logs, err := r.client.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		return nil, fmt.Errorf("read its output: %w", err)
	}
	defer logs.Close()
	var stdout, stderr bytes.Buffer
	if _, err := stdcopy.StdCopy(&stdout, &stderr, logs); err != nil {
		return nil, fmt.Errorf("read its output: %w", err)
	}
	if status != 0 {
		return nil, fmt.Errorf("it exited with status %d: %s", status, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// DefaultBridge returns the network in which the engine's builds run.
func (r *Runtime) DefaultBridge(ctx context.Context) (bridge deploy.Bridge, err error) {
	err = r.briefly(ctx, func(ctx context.Context) error {
		found, err := r.client.NetworkInspect(ctx, network.NetworkBridge, network.InspectOptions{})
		if errdefs.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		bridge.Name = found.Options[bridgeName]
		// The network's own list has the sandboxes of builds as well.
		containers, err := r.client.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("network", found.ID))})
		for _, c := range containers {
			if c.Labels[deploy.LabelInstance] != r.instance {
				bridge.Foreign = append(bridge.Foreign, strings.TrimPrefix(strings.Join(c.Names, ","), "/"))
			}
		}
		return err
	})
	if err != nil {
		return deploy.Bridge{}, fmt.Errorf("look at the engine's default network: %w", err)
	}
	return bridge, nil
}

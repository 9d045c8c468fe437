package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"vitrine/builder"
	"vitrine/deploy/docker"
	"vitrine/deploy/firewall"
	"vitrine/deployments"
)

// pool looks for a free network, and says which routes of this machine take a part of the pool.
func (c *doctorCommand) pool(ctx context.Context) (found string, err error) {
	err = c.withRuntime(func(r *docker.Runtime) error {
		engine, err := r.Occupied(ctx)
		if err != nil {
			return err
		}
		routes, err := firewall.Routes()
		if err != nil {
			return err
		}
		occupied := slices.Clone(engine)
		var notes []string
		for _, route := range routes {
			occupied = append(occupied, route.Network)
			if route.Network.Overlaps(c.Subnets) && !slices.Contains(engine, route.Network) {
				notes = append(notes, fmt.Sprintf("%s through %s", route.Network, route.Interface))
			}
		}
		without := ""
		if len(notes) > 0 {
			without = "; this machine has routes to " + strings.Join(notes, ", ") + ", which previews leave alone"
		}
		free, err := deployments.FreeSubnet(c.Subnets, occupied)
		if err != nil {
			return fmt.Errorf("%w%s; choose another pool than %s with --subnets, or remove networks with `docker network prune`", err, without, c.Subnets)
		}
		found = fmt.Sprintf("pool %s, next free network %s%s", c.Subnets, free, without)
		return nil
	})
	return found, err
}

// firewall puts one up that is nobody's, tests it and removes it.
func (c *doctorCommand) firewall(ctx context.Context) (_ string, err error) {
	if c.Firewall != on {
		return "off: previews and builds reach whatever this machine reaches", nil
	}
	var open closers
	defer func() { err = errors.Join(err, open.Close()) }()
	dir, err := os.MkdirTemp("", "vitrine-doctor-")
	if err != nil {
		return "", err
	}
	open.add(func() error { return os.RemoveAll(dir) })
	instance := "doctor" + randomName()
	r, err := docker.New(docker.Config{Host: c.DockerHost, Instance: instance, Routes: hostRoutes})
	if err != nil {
		return "", err
	}
	open.add(r.Close)
	b, err := builder.New(builder.Config{DataDir: dir, DockerHost: c.DockerHost, Instance: instance, Registry: c.RegistryListen})
	if err != nil {
		return "", err
	}
	open.add(b.Close)
	p := newProgram(b, instance)
	open.add(p.Close)
	f := firewall.New(c.firewallConfig(instance, r, p))
	open.add(func() error { return f.Remove(context.WithoutCancel(ctx)) })
	if err := f.Sweep(ctx); err != nil {
		return "", fmt.Errorf("%w; nothing is built or started without it, unless firewall is off. It takes a static binary (`make build`), a kernel with nftables, and "+
			"an engine that lets containers have the host's network and NET_ADMIN", err)
	}
	return f.Describe(), nil
}

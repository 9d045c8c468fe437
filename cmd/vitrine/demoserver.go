package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"vitrine/bot"
	"vitrine/bot/githubsim"
	"vitrine/builder"
	"vitrine/cmd/internal/sample"
	"vitrine/deploy/docker"
)

// removalTime bounds the removal of what the demo made.
const removalTime = time.Minute

// A demo is a simulated GitHub and a server that hears its webhooks, with everything in one temporary folder.
type demo struct {
	out    io.Writer
	web    string // where the simulated GitHub answers
	base   string // the image that the sample repository builds on
	github *githubsim.Server
	server *server

	stopped chan error // gets what the server's Run returned, and is closed
	closers
}

// openDemo makes everything that the demo needs. After an error nothing is left of it. It returns no demo and no error where Ctrl-C came before
// there was anything to see.
func openDemo(ctx context.Context, c *demoCommand, to console) (_ *demo, err error) {
	d := &demo{out: to.out, base: "vitrine-demo-" + randomName() + ":base", stopped: make(chan error, 1)}
	defer func() {
		switch {
		case err != nil && ctx.Err() != nil && !c.Once:
			fmt.Fprint(to.out, farewell)
			err = d.Close()
		case err != nil:
			err = errors.Join(err, d.Close())
		}
	}()
	dir, err := os.MkdirTemp("", "vitrine-demo-")
	if err != nil {
		return nil, err
	}
	d.add(func() error { return os.RemoveAll(dir) })
	if err := checkEngine(ctx, c.DockerHost, to.out); err != nil {
		return nil, err
	}
	check(to.out, "address", "*."+demoDomain+" -> 127.0.0.1")
	listener, err := listenNear(to.out, "previews", c.Port)
	if err != nil {
		return nil, err
	}
	d.add(func() error { return ignoreClosed(listener.Close()) })
	secret := randomName()
	if err := d.openGithub(c, filepath.Join(dir, "github"), listener, secret); err != nil {
		return nil, err
	}
	fmt.Fprintln(to.out)
	s := settings{
		Domain: demoDomain, Data: filepath.Join(dir, "data"), DockerHost: c.DockerHost,
		TrustedImages: []string{d.base}, RegistryListen: "127.0.0.1:0",
		GithubURL: d.web, GithubAPIURL: d.web + "/api/v3/", GithubAppID: sample.App, GithubWebhookSecret: secret,
		TTL: 168 * time.Hour, TTLMax: 720 * time.Hour, Builds: 2, Subnets: somePool(),
		Firewall: "off", FirewallBuilds: "off", // nobody's code is run but ours
	}
	if c.Once {
		s.Firewall = on // without it no fork runs
	}
	if err := d.openServer(ctx, s, listener, c, to); err != nil {
		return nil, err
	}
	if err := sample.Cast(ctx, d.github, d.base); err != nil {
		return nil, err
	}
	return d, nil
}

const (
	demoDomain = "preview.localhost"
)

// checkEngine says which engine answers, before anything is made that would need it.
func checkEngine(ctx context.Context, host string, out io.Writer) error {
	r, err := docker.New(docker.Config{Host: host, Instance: "demo"})
	if err != nil {
		return err
	}
	defer r.Close()
	version, err := r.Ping(ctx)
	if err != nil {
		return err
	}
	check(out, "engine", "Docker "+version)
	return nil
}

// openGithub starts the simulated GitHub.
func (d *demo) openGithub(c *demoCommand, dir string, webhooks net.Listener, secret string) error {
	listener, err := listenNear(d.out, "the simulated GitHub", c.GithubPort)
	if err != nil {
		return err
	}
	d.add(func() error { return ignoreClosed(listener.Close()) })
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	d.web = fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	d.github, err = sample.NewGithub(d.web, dir, "http://"+webhooks.Addr().String()+bot.WebhookPath, secret)
	if err != nil {
		return err
	}
	d.add(d.github.Close)
	d.add(sample.Serve(listener, d.github))
	return nil
}

// openServer imports the sample's base image and starts the server on the listener.
func (d *demo) openServer(ctx context.Context, s settings, listener net.Listener, c *demoCommand, to console) error {
	srv, err := openServer(ctx, s, listener, d.github.PrivateKeyPEM(), logger(to.err, c.LogLevel))
	if err != nil {
		return err
	}
	d.server = srv
	d.add(srv.Close)
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this binary: %w", err)
	}
	d.add(func() error { return d.clean(srv.builder) })
	// An import that is given up while the engine ends it could leave the image behind after the clean-up.
	if err := sample.ImportBinary(context.WithoutCancel(ctx), srv.builder, self, d.base); err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	go func() { d.stopped <- srv.Run(running); close(d.stopped) }()
	d.add(func() error { stop(); return <-d.stopped })
	return nil
}

// clean removes everything from the engine that the demo's server made there, and the base image.
func (d *demo) clean(b *builder.Builder) error {
	ctx, cancel := context.WithTimeout(context.Background(), removalTime)
	defer cancel()
	there, err := d.server.runtime.Inventory(ctx)
	for _, id := range there.Deployments {
		err = errors.Join(err, d.server.runtime.Down(ctx, id))
	}
	for _, id := range there.States {
		err = errors.Join(err, d.server.runtime.Clear(ctx, id))
	}
	references, listed := b.References(ctx)
	err = errors.Join(err, listed, b.Remove(ctx, references), b.RemoveImported(ctx, d.base))
	if d.server.fence != nil {
		err = errors.Join(err, d.server.fence.Remove(ctx))
	}
	return err
}

// somePool returns a part of the usual address pool, at random, so that several demos on one engine keep clear of each other.
func somePool() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 213, byte(mathrand.IntN(256)), 0}), 24)
}

func randomName() string {
	b := make([]byte, 6)
	rand.Read(b)
	return hex.EncodeToString(b)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	buildkit "github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/bklog"
	"github.com/sirupsen/logrus"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/sync/errgroup"

	"vitrine/cmd/bench/report"
	"vitrine/cmd/bench/world"
)

// A floor does nothing but what cannot be left out, by raw calls and side by side where that is possible: fetch the commit, solve a cached build for each
// service, make a network, create and start the containers. It checks nothing, records nothing, and knows beforehand what there is to do.
type floor struct {
	world    *world.World
	engine   *client.Client
	buildkit *buildkit.Client // one connection for all rounds
	dir      string
	subnet   netip.Prefix
	rounds   int

	network    string
	containers []string
}

var _ contestant = (*floor)(nil)

// openFloor makes a warm mirror. Close removes what the floor left.
func openFloor(ctx context.Context, w *world.World, engine *client.Client) (*floor, error) {
	f := &floor{
		world: w, engine: engine, dir: filepath.Join(w.Dir, "floor"),
		// Beside the pool of serve's own networks.
		subnet: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 212, byte(rand.IntN(256)), 0}), 27),
	}
	if err := os.Mkdir(f.dir, 0o700); err != nil {
		return nil, err
	}
	if err := f.git(ctx, "init", "--quiet", "--bare", "--template=", f.mirror()); err != nil {
		return nil, err
	}
	var err error
	f.buildkit, err = buildkit.New(ctx, "",
		buildkit.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return engine.DialHijack(ctx, "/grpc", "h2c", nil)
		}),
		buildkit.WithSessionDialer(func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return engine.DialHijack(ctx, "/session", proto, meta)
		}))
	if err != nil {
		return nil, fmt.Errorf("reach the engine's BuildKit: %w", err)
	}
	return f, f.fetch(ctx, "main")
}

func (f *floor) name() string { return "the floor" }

// round brings a commit of its own up, measured from the fetch.
func (f *floor) round(ctx context.Context, text string) (t trial, err error) {
	sha, err := f.world.CommitQuietly(ctx, "floor", text)
	if err != nil {
		return t, err
	}
	f.rounds++
	f.network = fmt.Sprintf("vitrine-bench-%s-%d", f.world.Name, f.rounds)
	watch := report.NewStopwatch(time.Now)
	group, both := errgroup.WithContext(ctx)
	group.Go(func() error { return f.makeNetwork(both) })
	tree := filepath.Join(f.dir, "tree")
	if err := errors.Join(f.fetch(ctx, "floor"), f.checkout(ctx, sha, tree)); err != nil {
		return t, errors.Join(err, group.Wait())
	}
	watch.Lap("fetching")
	for _, service := range world.Services() {
		group.Go(func() error { return f.solve(both, service, filepath.Join(tree, service)) })
	}
	if err := group.Wait(); err != nil {
		return t, err
	}
	watch.Lap("building")
	if err := f.start(ctx); err != nil {
		return t, err
	}
	watch.Lap("starting")
	at, err := world.NewVisitor("http://"+f.address(0)+":8080/", "").Sees(ctx, world.Answer(text))
	if err != nil {
		return t, err
	}
	watch.LapAt("first answer", at)
	return trial{took: watch.Total(), phases: watch.Phases()}, os.RemoveAll(tree)
}

func (f *floor) mirror() string { return filepath.Join(f.dir, "mirror.git") }

func (f *floor) fetch(ctx context.Context, branch string) error {
	return f.git(ctx, "--git-dir", f.mirror(), "fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head",
		f.world.Web+"/"+world.Repository+".git", "+refs/heads/"+branch+":refs/heads/"+branch)
}

func (f *floor) checkout(ctx context.Context, sha, tree string) error {
	if err := os.Mkdir(tree, 0o700); err != nil {
		return err
	}
	return f.git(ctx, "--git-dir", f.mirror(), "--work-tree", tree, "read-tree", "--reset", "-u", sha)
}

func (f *floor) git(ctx context.Context, args ...string) error {
	command := exec.CommandContext(ctx, "git", args...)
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_INDEX_FILE="+filepath.Join(f.dir, "index"))
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, out)
	}
	return nil
}

// solve builds a service with the frontend that lies in the engine.
func (f *floor) solve(ctx context.Context, service, folder string) error {
	files, err := fsutil.NewFS(folder)
	if err != nil {
		return err
	}
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	_, err = f.buildkit.Solve(bklog.WithLogger(ctx, logrus.NewEntry(quiet)), nil, buildkit.SolveOpt{
		Frontend:    "dockerfile.v0",
		LocalMounts: map[string]fsutil.FS{"context": files, "dockerfile": files},
		SharedKey:   f.world.Name + service,
		Exports:     []buildkit.ExportEntry{{Type: "moby", Attrs: map[string]string{"name": f.image(service)}}},
	}, nil)
	if err != nil {
		return fmt.Errorf("solve %s: %w", service, err)
	}
	return nil
}

func (f *floor) image(service string) string {
	return fmt.Sprintf("vitrine-bench-%s/%s:%d", f.world.Name, service, f.rounds)
}

func (f *floor) makeNetwork(ctx context.Context) error {
	_, err := f.engine.NetworkCreate(ctx, f.network, network.CreateOptions{
		Driver: "bridge", IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: f.subnet.String()}}},
	})
	return err
}

// address is the one of the i-th service.
func (f *floor) address(i int) string {
	b := f.subnet.Addr().As4()
	b[3] += byte(2 + i)
	return netip.AddrFrom4(b).String()
}

// start creates and starts the containers side by side.
func (f *floor) start(ctx context.Context) error {
	f.containers = make([]string, len(world.Services()))
	group, ctx := errgroup.WithContext(ctx)
	for i, service := range world.Services() {
		group.Go(func() error {
			made, err := f.engine.ContainerCreate(ctx, &container.Config{Image: f.image(service)},
				&container.HostConfig{NetworkMode: container.NetworkMode(f.network)},
				&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{f.network: {
					IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: f.address(i)}, Aliases: []string{service},
				}}}, nil, f.network+"-"+service)
			if err != nil {
				return fmt.Errorf("create %s: %w", service, err)
			}
			f.containers[i] = made.ID
			return f.engine.ContainerStart(ctx, made.ID, container.StartOptions{})
		})
	}
	return group.Wait()
}

// rest removes what the round made.
func (f *floor) rest(ctx context.Context) error {
	var errs []error
	for _, service := range world.Services() {
		errs = append(errs, tolerant(f.engine.ContainerRemove(ctx, f.network+"-"+service, container.RemoveOptions{Force: true, RemoveVolumes: true})))
	}
	errs = append(errs, tolerant(f.engine.NetworkRemove(ctx, f.network)))
	for _, service := range world.Services() {
		_, err := f.engine.ImageRemove(ctx, f.image(service), image.RemoveOptions{PruneChildren: true})
		errs = append(errs, tolerant(err))
	}
	return errors.Join(errs...)
}

// Close removes what a round that failed made.
func (f *floor) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), world.RemovalTime)
	defer cancel()
	var err error
	if f.network != "" {
		err = f.rest(ctx)
	}
	return errors.Join(err, f.buildkit.Close())
}

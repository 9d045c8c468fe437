package builder

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/util/bklog"
	"github.com/sirupsen/logrus"
	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"

	"vitrine/deployments"
)

// The names under which the frontend asks for the folders that are mounted (BuildKit, frontend/dockerui).
const (
	mountContext    = "context"
	mountDockerfile = "dockerfile"
	// mountNamed begins those of further folders. The frontend is told by an option which one a name of the Dockerfile means.
	mountNamed = "named-"
)

// hostDigits is how many digits of a hash make a host's label, which has 63 characters at most (RFC 1035 §2.3.4).
const hostDigits = 32

// solve builds one image and gives it a name on the engine. It returns the engine's image ID. What the Dockerfile does wrong is a Fault.
func (b *Builder) solve(ctx context.Context, from provenance, build deployments.Build, r *recipe, name string, s *steps) (string, error) {
	scratch, err := os.MkdirTemp(b.config.CheckoutDir, checkoutPrefix)
	if err != nil {
		return "", away(ctx, waitsForFolder, fmt.Errorf("make a folder for the Dockerfile: %w", err))
	}
	defer os.RemoveAll(scratch)
	opt, err := r.options(scratch, from, build.Target, name)
	if err != nil {
		return "", away(ctx, waitsForFolder, err)
	}
	if len(build.Secrets) > 0 || bytes.Contains(r.dockerfile, []byte("type=secret")) {
		opt.Session = []session.Attachable{heldSecrets(build.Secrets)}
	}
	// Whatever else the engine is given has to be in opt by now.
	inputs, err := r.inputs(ctx, opt)
	if err != nil {
		return "", away(ctx, waitsForFolder, err)
	}
	if !from.fresh {
		if id := b.unchanged(ctx, r, inputs, name, s); id != "" {
			return id, nil
		}
	}
	began := b.config.Now()
	id, g, err := b.askEngine(ctx, from, opt, r, s)
	if err != nil {
		return "", err
	}
	b.remember(ctx, inputs, outcome{Image: id, Bases: g.bases, At: began}, g)
	return id, nil
}

// askEngine has the engine's BuildKit build one image. The guard that it returns knows what was used.
func (b *Builder) askEngine(ctx context.Context, from provenance, opt client.SolveOpt, r *recipe, s *steps) (string, *guard, error) {
	// BuildKit's client logs what its errors say again.
	ctx = bklog.WithLogger(ctx, logrus.NewEntry(quiet()))
	c, err := b.buildkit(ctx)
	if err != nil {
		return "", nil, away(ctx, waitsForEngine, err)
	}
	defer c.Close()
	// Without this, a cancelled build would wait some seconds for the last reports of an engine that does not answer.
	defer context.AfterFunc(ctx, func() { c.Close() })()

	// What crosses the engine loses its type; what the frontend returns keeps it.
	var refused error
	g := newGuard(nil, b.permission)
	g.own, g.named = r.own, r.contexts
	if from.fresh {
		g.anew = b.askedAnew
	}
	run := func(ctx context.Context, gw gateway.Client) (*gateway.Result, error) {
		g.engine = gw
		var res *gateway.Result
		res, refused = buildDockerfile(ctx, g)
		return res, refused
	}
	status := make(chan *client.SolveStatus)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		s.follow(status)
	}()
	answer, err := c.Build(ctx, opt, "", run, status)
	<-followed
	if ctx.Err() != nil {
		return "", nil, context.Cause(ctx)
	}
	if err != nil {
		return "", nil, b.unlessEngineEnded(ctx, r.failure(refused, err, s, g.lines))
	}
	// What the exporter calls the digest is the ID (moby, builder-next/exporter).
	id := answer.ExporterResponse[exptypes.ExporterImageDigestKey]
	if id == "" {
		return "", nil, fmt.Errorf("the engine did not say which image it built: %v", answer.ExporterResponse)
	}
	return id, g, nil
}

// unlessEngineEnded returns how a build failed, unless the engine is not there any more: one that shuts down kills what it runs, and a step that was
// killed looks like one that failed.
func (b *Builder) unlessEngineEnded(ctx context.Context, failed error) error {
	if deployments.FaultOf(failed) == nil {
		return failed
	}
	limited, cancel := context.WithTimeout(ctx, tidyTime)
	defer cancel()
	if _, err := b.engine.Ping(limited); err != nil {
		return away(ctx, waitsForEngine, fmt.Errorf("%v, when the engine ended: %w", failed, err))
	}
	return failed
}

// buildkit returns a connection to the engine's BuildKit, for one build.
func (b *Builder) buildkit(ctx context.Context) (*client.Client, error) {
	c, err := client.New(ctx, "",
		client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return b.engine.DialHijack(ctx, "/grpc", "h2c", nil)
		}),
		client.WithSessionDialer(func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return b.engine.DialHijack(ctx, "/session", proto, meta)
		}))
	if err != nil {
		return nil, fmt.Errorf("reach the engine's BuildKit: %w", err)
	}
	return c, nil
}

// options returns what BuildKit is asked for. The Dockerfile is written into the folder scratch.
func (r *recipe) options(scratch string, from provenance, target, name string) (client.SolveOpt, error) {
	files := map[string][]byte{"Dockerfile": r.dockerfile}
	if r.ignore != nil {
		files["Dockerfile"+ignoreName] = r.ignore
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(scratch, file), text, 0o600); err != nil {
			return client.SolveOpt{}, fmt.Errorf("write the Dockerfile: %w", err)
		}
	}
	dockerfile, err := fsutil.NewFS(scratch)
	if err != nil {
		return client.SolveOpt{}, fmt.Errorf("open the Dockerfile's folder: %w", err)
	}
	mounts := map[string]fsutil.FS{mountDockerfile: dockerfile}
	if mounts[mountContext], err = contextFiles(r.context); err != nil {
		return client.SolveOpt{}, err
	}
	attrs := map[string]string{
		"filename":           "Dockerfile",
		"image-resolve-mode": "local",
		"target":             target,
		// A cache mount is shared by all builds that name it, and so is a step that reads the same: the namespace keeps the mounts apart, and a
		// name in /etc/hosts, which is a part of what a step is known by, the steps.
		"build-arg:BUILDKIT_CACHE_MOUNT_NS": from.mounts,
		"add-hosts":                         from.steps[:hostDigits] + ".invalid=127.0.0.1",
	}
	if from.fresh {
		attrs["no-cache"] = "" // in all stages
	}
	for name, folder := range r.contexts {
		if mounts[mountNamed+name], err = contextFiles(folder); err != nil {
			return client.SolveOpt{}, err
		}
		attrs["context:"+name] = "local:" + mountNamed + name
	}
	for key, value := range r.args {
		attrs["build-arg:"+key] = value
	}
	return client.SolveOpt{
		Exports:       []client.ExportEntry{{Type: "moby", Attrs: map[string]string{"name": name}}},
		LocalMounts:   mounts,
		SharedKey:     from.key,
		FrontendAttrs: attrs,
	}, nil
}

// contextFiles returns a folder with the modes that git knows, so that an image does not depend on the umask of this process.
func contextFiles(dir string) (fsutil.FS, error) {
	files, err := fsutil.NewFS(dir)
	if err != nil {
		return nil, fmt.Errorf("open the build's context: %w", err)
	}
	files, err = fsutil.NewFilterFS(files, &fsutil.FilterOpt{Map: func(_ string, stat *fstypes.Stat) fsutil.MapResult {
		mode := os.FileMode(stat.Mode)
		switch {
		case mode.IsDir(), mode.IsRegular() && mode&0o100 != 0:
			stat.Mode = uint32(mode.Type() | 0o755)
		case mode.IsRegular():
			stat.Mode = uint32(0o644)
		}
		return fsutil.MapResultKeep
	}})
	if err != nil {
		return nil, fmt.Errorf("open the build's context: %w", err)
	}
	return files, nil
}

func quiet() *logrus.Logger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return l
}

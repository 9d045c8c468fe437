// Package world sets the stage that the benchmark measures on: a simulated GitHub, a `vitrine serve` in a process of its own with what it records, the
// repository that everybody deploys from, and the visitor who looks at what came of it.
package world

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"vitrine/bot"
	"vitrine/bot/githubsim"
	"vitrine/builder"
	"vitrine/builder/registry"
	"vitrine/cmd/internal/sample"
	"vitrine/deploy/docker"
)

const (
	// RemovalTime bounds the removal of what a world made. Whoever makes something beside it gives the removal as much.
	RemovalTime    = 5 * time.Minute
	removalsAtOnce = 4
)

// Domain is the base domain of the previews.
const Domain = "preview.localhost"

// Config is what a World needs to know.
type Config struct {
	Binary string    // the vitrine command
	Env    []string  // further variables for serve, "NAME=value"
	Log    io.Writer // gets what is being done, for people
	// RemoveBase removes an image by its name and everything on the engine that stands on it, and does nothing where there is no such image. It is called
	// at the end, when serve has stopped and what it records was removed.
	RemoveBase func(ctx context.Context, image string) error
}

// A World is a simulated GitHub, in this process, and a `vitrine serve` in one of its own, with everything in one temporary folder. Its fields are to be read
// only.
type World struct {
	Name   string // random; names everything outside that is not serve's own, and is the secret that webhooks are signed with
	Dir    string // the temporary folder
	Web    string // where the simulated GitHub answers, "http://127.0.0.1:8080"
	Hook   string // where serve takes webhooks, an URL
	Base   string // the image that repositories build on
	Github *githubsim.Server
	Serve  *Serve
	config Config
	undo   []func() error
}

// Open makes a world and starts its serve. After an error nothing is left.
func Open(ctx context.Context, c Config) (_ *World, err error) {
	w := &World{Name: randomName(), config: c}
	w.Base = "vitrine-bench-" + w.Name + ":base"
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if w.Dir, err = os.MkdirTemp("", "vitrine-bench-"); err != nil {
		return nil, err
	}
	w.later(func() error { return os.RemoveAll(w.Dir) })
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	registryPort, err := FreePort()
	if err != nil {
		return nil, err
	}
	w.Hook = fmt.Sprintf("http://127.0.0.1:%d%s", port, bot.WebhookPath)
	if err := w.openGithub(); err != nil {
		return nil, err
	}
	key := filepath.Join(w.Dir, "app.pem")
	if err := os.WriteFile(key, w.Github.PrivateKeyPEM(), 0o600); err != nil {
		return nil, err
	}
	w.Serve = &Serve{
		Address: fmt.Sprintf("127.0.0.1:%d", port), LogFile: filepath.Join(w.Dir, "serve.log"),
		binary: c.Binary, data: filepath.Join(w.Dir, "data"), registry: fmt.Sprintf("127.0.0.1:%d", registryPort),
	}
	w.Serve.env = append([]string{
		"VITRINE_LISTEN=" + w.Serve.Address, "VITRINE_DATA=" + w.Serve.data, "VITRINE_REGISTRY_LISTEN=" + w.Serve.registry,
		"VITRINE_DOMAIN=" + Domain, "VITRINE_TRUSTED_IMAGES=" + w.Base, "VITRINE_GITHUB_URL=" + w.Web, "VITRINE_GITHUB_API_URL=" + w.Web + "/api/v3/",
		fmt.Sprintf("VITRINE_GITHUB_APP_ID=%d", sample.App), "VITRINE_GITHUB_PRIVATE_KEY_FILE=" + key, "VITRINE_GITHUB_WEBHOOK_SECRET=" + w.Name,
	}, c.Env...)
	w.later(w.clean)
	if err := w.importBase(ctx); err != nil {
		return nil, err
	}
	return w, w.Serve.Start(ctx)
}

// later puts f before what is undone at Close already.
func (w *World) later(f func() error) { w.undo = append(w.undo, f) }

// Close stops serve and removes everything that it and the world made. A second call does nothing.
func (w *World) Close() error {
	var errs []error
	for _, f := range slices.Backward(w.undo) {
		errs = append(errs, f())
	}
	w.undo = nil
	return errors.Join(errs...)
}

// openGithub serves the simulated GitHub.
func (w *World) openGithub() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.Web = "http://" + listener.Addr().String()
	dir := filepath.Join(w.Dir, "github")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return errors.Join(err, listener.Close())
	}
	if w.Github, err = sample.NewGithub(w.Web, dir, w.Hook, w.Name); err != nil {
		return errors.Join(err, listener.Close())
	}
	w.later(w.Github.Close)
	w.later(sample.Serve(listener, w.Github))
	for _, login := range []string{"acme", sample.Developer} {
		if err := w.Github.CreateUser(login, sample.Password); err != nil {
			return err
		}
	}
	return nil
}

// Create makes a repository of acme's that the developer may write to, with the files by their paths.
func (w *World) Create(ctx context.Context, name string, files map[string]string) error {
	if err := w.Github.CreateRepository(ctx, name, false, files); err != nil {
		return err
	}
	return w.Github.SetPermission(name, sample.Developer, "write")
}

// OpenPull makes a branch of Repository with the page changed to text, and opens a pull request from it.
func (w *World) OpenPull(ctx context.Context, branch, text string) (number int, err error) {
	if _, err := w.Commit(ctx, branch, text); err != nil {
		return 0, err
	}
	return w.Github.OpenPullRequest(ctx, githubsim.PullRequest{Repository: Repository, Head: branch, Title: "Change " + branch, Author: sample.Developer})
}

// Commit changes one file of Repository's branch, the page, to text, and returns the commit. The branch is made where it is new.
func (w *World) Commit(ctx context.Context, branch, text string) (sha string, err error) {
	return w.Github.Commit(ctx, githubsim.Change{
		Repository: Repository, Branch: branch, Author: sample.Developer, Files: map[string]string{"web/index.html": page(text)},
	})
}

// CommitQuietly is Commit without a webhook that tells of it: for those that do not wait for one. No other commit may be made meanwhile.
func (w *World) CommitQuietly(ctx context.Context, branch, text string) (sha string, err error) {
	w.Github.SetWebhookURL("")
	defer w.Github.SetWebhookURL(w.Hook)
	return w.Commit(ctx, branch, text)
}

func (w *World) importBase(ctx context.Context) error {
	shop, err := buildShop(ctx, w.Dir, w.Name)
	if err != nil {
		return err
	}
	b, err := w.builder("none")
	if err != nil {
		return err
	}
	defer b.Close()
	// An import that is given up while the engine ends it could leave the image behind after the clean-up.
	return sample.ImportBinary(context.WithoutCancel(ctx), b, shop, w.Base)
}

// builder returns one that sees the images of an instance.
func (w *World) builder(instance string) (*builder.Builder, error) {
	return builder.New(builder.Config{
		DataDir: filepath.Join(w.Dir, "builder"), Instance: instance, Registry: w.Serve.registry, Log: slog.New(slog.DiscardHandler),
	})
}

// clean stops serve and removes everything of it from the engine.
func (w *World) clean() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), RemovalTime)
	defer cancel()
	err = w.Serve.Stop()
	instance, known := w.Serve.instance(ctx)
	b, opened := w.builder(instance)
	if opened != nil {
		return errors.Join(err, known, opened)
	}
	defer b.Close()
	if known == nil {
		err = errors.Join(err, w.removeStacks(ctx, instance), w.removeImages(ctx, b))
	}
	return errors.Join(err, w.config.RemoveBase(ctx, w.Base))
}

func (w *World) removeStacks(ctx context.Context, instance string) error {
	r, err := docker.New(docker.Config{Instance: instance})
	if err != nil {
		return err
	}
	defer r.Close()
	there, err := r.Inventory(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(removalsAtOnce)
	for _, id := range there.Deployments {
		group.Go(func() error { return r.Down(ctx, id) })
	}
	for _, id := range there.States {
		group.Go(func() error { return r.Clear(ctx, id) })
	}
	return group.Wait()
}

func (w *World) removeImages(ctx context.Context, b *builder.Builder) error {
	images, err := registry.Start(ctx, registry.Config{Root: filepath.Join(w.Serve.data, "registry"), Listen: w.Serve.registry})
	if err != nil {
		return err
	}
	defer images.Close()
	references, err := b.References(ctx)
	return errors.Join(err, b.Remove(ctx, references))
}

// Say writes a line for people.
func (w *World) Say(format string, args ...any) { fmt.Fprintf(w.config.Log, format+"\n", args...) }

// FreePort returns a port of 127.0.0.1 that nobody listened on a moment ago.
func FreePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

func randomName() string {
	b := make([]byte, 6)
	rand.Read(b)
	return hex.EncodeToString(b)
}

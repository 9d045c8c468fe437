package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
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
	// removalTime bounds the removal of what a world made.
	removalTime    = 5 * time.Minute
	removalsAtOnce = 4
)

// domain is the base domain of the previews.
const domain = "preview.localhost"

// A world is a simulated GitHub, in this process, and a `vitrine serve` in one of its own, with everything in one temporary folder.
type world struct {
	name   string // random; names everything outside that is not serve's own
	dir    string
	web    string // where the simulated GitHub answers
	hook   string // where serve takes webhooks
	base   string // the image that repositories build on
	github *githubsim.Server
	serve  *serve
	log    io.Writer // gets what is being done, for people
	undo   []func() error
}

// openWorld makes a world and starts its serve from the binary. extra are further VITRINE_ variables, and others, of it. After an error nothing is left.
func openWorld(ctx context.Context, binary string, log io.Writer, extra ...string) (_ *world, err error) {
	w := &world{name: randomName(), log: log}
	w.base = "vitrine-bench-" + w.name + ":base"
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if w.dir, err = os.MkdirTemp("", "vitrine-bench-"); err != nil {
		return nil, err
	}
	w.later(func() error { return os.RemoveAll(w.dir) })
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	registryPort, err := freePort()
	if err != nil {
		return nil, err
	}
	w.hook = fmt.Sprintf("http://127.0.0.1:%d%s", port, bot.WebhookPath)
	if err := w.openGithub(); err != nil {
		return nil, err
	}
	key := filepath.Join(w.dir, "app.pem")
	if err := os.WriteFile(key, w.github.PrivateKeyPEM(), 0o600); err != nil {
		return nil, err
	}
	w.serve = &serve{
		binary: binary, address: fmt.Sprintf("127.0.0.1:%d", port), data: filepath.Join(w.dir, "data"), logs: filepath.Join(w.dir, "serve.log"),
		registry: fmt.Sprintf("127.0.0.1:%d", registryPort),
	}
	w.serve.env = append([]string{
		"VITRINE_LISTEN=" + w.serve.address, "VITRINE_DATA=" + w.serve.data, "VITRINE_REGISTRY_LISTEN=" + w.serve.registry,
		"VITRINE_DOMAIN=" + domain, "VITRINE_TRUSTED_IMAGES=" + w.base, "VITRINE_GITHUB_URL=" + w.web, "VITRINE_GITHUB_API_URL=" + w.web + "/api/v3/",
		fmt.Sprintf("VITRINE_GITHUB_APP_ID=%d", sample.App), "VITRINE_GITHUB_PRIVATE_KEY_FILE=" + key, "VITRINE_GITHUB_WEBHOOK_SECRET=" + w.name,
	}, extra...)
	w.later(w.clean)
	if err := w.importBase(ctx); err != nil {
		return nil, err
	}
	return w, w.serve.start(ctx)
}

// later puts f before what is undone at Close already.
func (w *world) later(f func() error) { w.undo = append(w.undo, f) }

// Close removes everything that the world made. A second call does nothing.
func (w *world) Close() error {
	var errs []error
	for _, f := range slices.Backward(w.undo) {
		errs = append(errs, f())
	}
	w.undo = nil
	return errors.Join(errs...)
}

func (w *world) openGithub() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.web = "http://" + listener.Addr().String()
	dir := filepath.Join(w.dir, "github")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return errors.Join(err, listener.Close())
	}
	if w.github, err = sample.NewGithub(w.web, dir, w.hook, w.name); err != nil {
		return errors.Join(err, listener.Close())
	}
	w.later(w.github.Close)
	server := &http.Server{Handler: w.github, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	w.later(func() error {
		err := server.Close()
		if stopped := <-served; !errors.Is(stopped, http.ErrServerClosed) {
			err = errors.Join(err, stopped)
		}
		return err
	})
	for _, login := range []string{"acme", sample.Developer} {
		if err := w.github.CreateUser(login, sample.Password); err != nil {
			return err
		}
	}
	return nil
}

// create makes a repository that the developer may write to.
func (w *world) create(ctx context.Context, name string, files map[string]string) error {
	if err := w.github.CreateRepository(ctx, name, false, files); err != nil {
		return err
	}
	return w.github.SetPermission(name, sample.Developer, "write")
}

// openPull makes a branch with the page changed to text, and opens a pull request from it.
func (w *world) openPull(ctx context.Context, branch, text string) (number int, err error) {
	if _, err := w.commit(ctx, branch, text); err != nil {
		return 0, err
	}
	return w.github.OpenPullRequest(ctx, githubsim.PullRequest{Repository: repository, Head: branch, Title: "Change " + branch, Author: sample.Developer})
}

// commit changes one file of the branch, the page, and returns the commit.
func (w *world) commit(ctx context.Context, branch, text string) (sha string, err error) {
	return w.github.Commit(ctx, githubsim.Change{
		Repository: repository, Branch: branch, Author: sample.Developer, Files: map[string]string{"web/index.html": page(text)},
	})
}

// quietly makes a commit that no webhook tells of: one for the other contestants.
func (w *world) quietly(ctx context.Context, branch, text string) (sha string, err error) {
	w.github.SetWebhookURL("")
	defer w.github.SetWebhookURL(w.hook)
	return w.commit(ctx, branch, text)
}

func (w *world) importBase(ctx context.Context) error {
	shop, err := buildShop(ctx, w.dir, w.name)
	if err != nil {
		return err
	}
	b, err := w.builder("none")
	if err != nil {
		return err
	}
	defer b.Close()
	// An import that is given up while the engine ends it could leave the image behind after the clean-up.
	return sample.ImportBinary(context.WithoutCancel(ctx), b, shop, w.base)
}

// builder returns one that sees the images of an instance.
func (w *world) builder(instance string) (*builder.Builder, error) {
	return builder.New(builder.Config{
		DataDir: filepath.Join(w.dir, "builder"), Instance: instance, Registry: w.serve.registry, Log: slog.New(slog.DiscardHandler),
	})
}

// clean stops serve and removes everything of it from the engine.
func (w *world) clean() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), removalTime)
	defer cancel()
	err = w.serve.stop()
	instance, known := w.serve.instance(ctx)
	b, opened := w.builder(instance)
	if opened != nil {
		return errors.Join(err, known, opened)
	}
	defer b.Close()
	if known == nil {
		err = errors.Join(err, w.removeStacks(ctx, instance), w.removeImages(ctx, b))
	}
	return errors.Join(err, w.removeBuilt(ctx))
}

func (w *world) removeStacks(ctx context.Context, instance string) error {
	r, err := docker.New(docker.Config{Instance: instance})
	if err != nil {
		return err
	}
	defer r.Close()
	ids, err := r.Inventory(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(removalsAtOnce)
	for _, id := range ids {
		group.Go(func() error { return r.Down(ctx, id) })
	}
	return group.Wait()
}

func (w *world) removeImages(ctx context.Context, b *builder.Builder) error {
	images, err := registry.Start(ctx, registry.Config{Root: filepath.Join(w.serve.data, "registry"), Listen: w.serve.registry})
	if err != nil {
		return err
	}
	defer images.Close()
	references, err := b.References(ctx)
	return errors.Join(err, b.Remove(ctx, references))
}

func (w *world) say(format string, args ...any) { fmt.Fprintf(w.log, format+"\n", args...) }

func freePort() (int, error) {
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

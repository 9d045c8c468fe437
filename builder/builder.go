// Package builder makes images of commits. It owns git and BuildKit: a bare mirror of each repository, a checkout for each attempt, builds by the
// engine's own BuildKit, and the tags on the engine and in the registry.
//
// The Dockerfile frontend runs in this process, so that a [guard] sees everything that a Dockerfile asks of the engine before the engine does.
package builder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/client"

	"vitrine/deployments"
)

// Config says what a Builder works with.
type Config struct {
	// DataDir is the server's data folder. The mirrors lie in its folder "mirrors", the checkouts in "checkouts"; "cachemounts" says
	// which of those on the engine are used, and "images" which came of which inputs.
	DataDir string
	// CheckoutDir is where checkouts are made instead; empty for the default. One Builder at a time may use it: what a former one left is removed.
	CheckoutDir string
	// DockerHost is the engine's address, "unix:///var/run/docker.sock"; empty for the environment's own (DOCKER_HOST and its companions).
	DockerHost string
	// Instance tells this server's images from those of others on the same engine.
	Instance string
	// Registry is the "host:port" that the engine pushes to. It is spoken to over plain HTTP, which an engine does on loopback addresses only.
	Registry string
	// Rule holds the images that a Dockerfile names. Own is filled in from Registry.
	Rule deployments.ImageRule
	// Program returns what serves a folder that has no Dockerfile, and sees to it that its image lies on the engine; nil where there are no such folders.
	// It is called side by side.
	Program func(ctx context.Context) (Program, error)
	// Authorities are certificate authorities, as PEM, that remotes' certificates may come from, beside those that git trusts without them.
	Authorities []byte
	// Log gets what is of no use to the people who wrote the Dockerfile. Nil discards it.
	Log *slog.Logger
	// Now is the clock; nil for time.Now.
	Now func() time.Time
	// AllowFiles lets remotes be file:// URLs, for tests.
	AllowFiles bool
}

// A Builder implements [deployments.Builder]. Its methods may be called side by side.
type Builder struct {
	config     Config
	log        *slog.Logger
	engine     *client.Client
	registry   *http.Client
	permission *permission
	index      *index
	prefix     string // of every reference of ours, without the registry: "vitrine-<instance>/"

	mu      sync.Mutex         // of the folder of cacheMountsIn, too
	mirrors map[string]*mirror // by path
}

var _ deployments.Builder = (*Builder)(nil)

// New returns a Builder. It makes the folders that are missing; it does not ask whether the engine or the registry is there.
func New(config Config) (*Builder, error) {
	if _, _, err := net.SplitHostPort(config.Registry); err != nil {
		return nil, fmt.Errorf("read the registry's address: %w", err)
	}
	if config.Instance == "" {
		return nil, errors.New("the builder needs the name of its instance")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if err := makeFolders(&config); err != nil {
		return nil, err
	}
	if err := writeAuthorities(config.DataDir, config.Authorities); err != nil {
		return nil, err
	}
	index, err := openIndex(config.DataDir, config.Now, config.Log)
	if err != nil {
		return nil, err
	}
	options := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if config.DockerHost != "" {
		options = []client.Opt{client.WithHost(config.DockerHost), client.WithAPIVersionNegotiation()}
	}
	engine, err := client.NewClientWithOpts(options...)
	if err != nil {
		return nil, fmt.Errorf("read the engine's address: %w", err)
	}
	config.Rule.Own = config.Registry + "/"
	b := &Builder{
		config:   config,
		log:      config.Log,
		engine:   engine,
		index:    index,
		registry: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute},
		prefix:   "vitrine-" + component(config.Instance) + "/",
		mirrors:  map[string]*mirror{},
	}
	b.permission = newPermission(config.Rule, config.Now, b.askRegistry)
	return b, nil
}

// makeFolders makes the folders absolute and present, and removes checkouts that a killed process left.
func makeFolders(config *Config) error {
	dir, err := filepath.Abs(config.DataDir)
	if err != nil {
		return fmt.Errorf("find the data folder: %w", err)
	}
	config.DataDir = dir
	if config.CheckoutDir == "" {
		config.CheckoutDir = filepath.Join(dir, "checkouts")
	}
	if config.CheckoutDir, err = filepath.Abs(config.CheckoutDir); err != nil {
		return fmt.Errorf("find the checkout folder: %w", err)
	}
	for _, d := range []string{mirrorsIn(dir), cacheMountsIn(dir), imagesIn(dir), config.CheckoutDir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("make the builder's folder: %w", err)
		}
	}
	entries, err := os.ReadDir(config.CheckoutDir)
	if err != nil {
		return fmt.Errorf("read the checkout folder: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), checkoutPrefix) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(config.CheckoutDir, e.Name())); err != nil {
			return fmt.Errorf("remove a former process's checkout: %w", err)
		}
	}
	return nil
}

// Close lets go of the connections to the engine and the registry. Builds under way are to be ended through their contexts before.
func (b *Builder) Close() error {
	b.registry.CloseIdleConnections()
	if err := b.engine.Close(); err != nil {
		return fmt.Errorf("close the connection to the engine: %w", err)
	}
	return nil
}

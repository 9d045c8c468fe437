package builder

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"vitrine/builder/registry"
	"vitrine/builder/registry/s3test"
	"vitrine/deployments"
)

// onRegistry returns a workshop that pushes to the address, and its base image as one to be pushed.
func onRegistry(t *testing.T, address string) (*workshop, []deployments.Image) {
	t.Helper()
	needEngine(t)
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	check(t, err)
	t.Cleanup(func() { check(t, engine.Close()) })
	id := random()
	w := &workshop{t: t, engine: engine, base: "vt-base-" + id + ":1"}
	w.Builder = newBuilder(t, Config{Instance: "test" + id, Registry: address})
	w.importImage(w.base)
	t.Cleanup(w.sweep)
	info, err := engine.ImageInspect(t.Context(), w.base)
	check(t, err)
	return w, []deployments.Image{{ID: info.ID, References: []string{w.prefix + "shop:one"}}}
}

func TestPushOverAnOutageOfTheBucket(t *testing.T) {
	server := s3test.Start(t)
	r, err := registry.Start(t.Context(), registry.Config{Listen: "127.0.0.1:0", S3: &registry.S3{
		Bucket: server.Bucket, Endpoint: server.Endpoint, AccessKey: server.AccessKey, SecretKey: server.SecretKey,
	}})
	check(t, err)
	t.Cleanup(func() { check(t, r.Close()) })
	w, images := onRegistry(t, r.Addr())
	references := images[0].References

	server.Stop()
	_, err = w.References(t.Context())
	unavailable(t, err, waitsForStorage)
	_, err = w.Push(t.Context(), images)
	unavailable(t, err, waitsForStorage)
	unavailable(t, w.Remove(t.Context(), references), waitsForStorage)

	server.Restart()
	var pushed []deployments.Image
	// The registry finds out by itself that its bucket is back.
	for deadline := time.Now().Add(30 * time.Second); ; {
		if pushed, err = w.Push(t.Context(), images); err == nil {
			break
		}
		unavailable(t, err, waitsForStorage)
		if time.Now().After(deadline) {
			t.Fatal("the registry does not find its bucket again")
		}
	}
	if !strings.HasPrefix(pushed[0].Digest, "sha256:") {
		t.Errorf("the digest is %q", pushed[0].Digest)
	}
	if found, err := w.References(t.Context()); err != nil || !slices.Equal(found, references) {
		t.Errorf("the references are %v %v, want %v", found, err, references)
	}
	if !slices.ContainsFunc(server.Objects(t.Context()), func(key string) bool { return strings.Contains(key, "/blobs/sha256/") }) {
		t.Error("the bucket has no blob")
	}

	// Gone from the engine, it comes back from the bucket as the same image.
	for _, name := range []string{w.base, w.onEngine(references[0])} {
		_, err = w.engine.ImageRemove(t.Context(), name, image.RemoveOptions{PruneChildren: true})
		check(t, err)
	}
	progress, err := w.engine.ImagePull(t.Context(), w.onEngine(references[0]), image.PullOptions{RegistryAuth: noCredentials})
	check(t, err)
	_, err = io.Copy(io.Discard, progress)
	check(t, err)
	check(t, progress.Close())
	if id := w.id(w.onEngine(references[0])); id != images[0].ID {
		t.Errorf("it came back as %s, not as %s", id, images[0].ID)
	}
	check(t, w.engine.ImageTag(t.Context(), images[0].ID, w.base)) // its cleanup wants it
	check(t, w.Remove(t.Context(), references))
}

// id returns the image ID of a name on the engine.
func (w *workshop) id(name string) string {
	w.t.Helper()
	info, err := w.engine.ImageInspect(w.t.Context(), name)
	check(w.t, err)
	return info.ID
}

// badRegistry serves a registry that has nothing and takes nothing: uploads are answered with 503, after begun was called.
func badRegistry(t *testing.T, ready func() bool, begun func()) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/blobs/uploads/"):
			begun()
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path != "/v2/":
			w.WriteHeader(http.StatusNotFound)
		case !ready():
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// An engine would try a layer for fifty seconds.
func TestPushEndsWhenTheStorageGoesAway(t *testing.T) {
	needEngine(t)
	var away atomic.Bool
	var begun atomic.Int32
	w, images := onRegistry(t, badRegistry(t, func() bool { return !away.Load() }, func() {
		away.Store(true)
		begun.Add(1)
	}))
	_, err := w.Push(t.Context(), images)
	unavailable(t, err, waitsForStorage)
	if n := begun.Load(); n != 1 {
		t.Errorf("the engine began %d uploads", n)
	}
}

func TestPushEndsWithItsContext(t *testing.T) {
	needEngine(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w, images := onRegistry(t, badRegistry(t, func() bool { return true }, cancel))
	_, err := w.Push(ctx, images)
	var u *deployments.Unavailable
	if !errors.Is(err, context.Canceled) || errors.As(err, &u) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

func TestPushNamesWhoIsWaitedFor(t *testing.T) {
	b := newBuilder(t, Config{}) // nothing answers at its registry
	healthy := newBuilder(t, Config{Instance: "test", Registry: badRegistry(t, func() bool { return true }, func() {})})
	away := newBuilder(t, Config{Instance: "test", Registry: badRegistry(t, func() bool { return false }, func() {})})
	for _, c := range []struct {
		b     *Builder
		words string
		want  string
	}{
		{healthy, "received unexpected HTTP status: 507 Insufficient Storage", waitsForDisk},
		{healthy, "received unexpected HTTP status: 503 Service Unavailable", waitsForStorage},
		{healthy, "received unexpected HTTP status: 500 Internal Server Error", waitsForStorage},
		{healthy, "write /var/lib/docker/tmp/x: no space left on device", waitsForDisk},
		{healthy, "manifest invalid: manifest invalid", waitsForRegistry},
		{away, "write tcp 127.0.0.1:5055: write: connection reset by peer", waitsForStorage},
		{b, "Put \"http://127.0.0.1:5055/v2/\": dial tcp 127.0.0.1:5055: connect: connection refused", waitsForRegistry},
	} {
		unavailable(t, c.b.refused(t.Context(), c.words), c.want)
	}
	// Without an engine nothing is tagged.
	noEngine := newBuilder(t, Config{DockerHost: "tcp://127.0.0.1:1"})
	images := []deployments.Image{{ID: "sha256:1", References: []string{noEngine.prefix + "shop:one"}}}
	_, err := noEngine.Push(t.Context(), images)
	unavailable(t, err, waitsForEngine)
	_, err = noEngine.References(t.Context())
	unavailable(t, err, waitsForEngine)
	unavailable(t, noEngine.Remove(t.Context(), images[0].References), waitsForEngine)
}

func TestRegistryErrorsNameWhoIsWaitedFor(t *testing.T) {
	for status, want := range map[int]string{
		http.StatusServiceUnavailable: waitsForStorage, http.StatusInternalServerError: waitsForStorage,
		http.StatusInsufficientStorage: waitsForDisk, http.StatusForbidden: waitsForRegistry,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		b := newBuilder(t, Config{Instance: "test", Registry: strings.TrimPrefix(server.URL, "http://")})
		_, err := b.catalogue(t.Context())
		unavailable(t, err, want)
		unavailable(t, b.removeFromRegistry(t.Context(), b.prefix+"shop:one"), want)
		server.Close()
	}
	b := newBuilder(t, Config{})
	unavailable(t, b.ready(t.Context()), waitsForRegistry)
	unavailable(t, b.removeFromRegistry(t.Context(), b.prefix+"shop:one"), waitsForRegistry)
}

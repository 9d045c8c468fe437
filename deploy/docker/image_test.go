package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory" // the registry of these tests keeps nothing
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"

	"vitrine/deploy"
	"vitrine/deployments"
)

// planOf plans a stack of a single service with the image.
func (b *bench) planOf(image string) (deploy.Plan, error) {
	b.t.Helper()
	stack := deploy.Stack{Services: []deploy.Service{{Name: "web", Image: image, Public: true}}}
	encoded, err := json.Marshal(stack)
	if err != nil {
		b.t.Fatal(err)
	}
	p, err := b.Plan(b.t.Context(), deployments.PlanRequest{Environment: testEnvironment, Deployment: b.deployment(1, stack), Stack: deployments.Stack{JSON: encoded}})
	if err != nil {
		return deploy.Plan{}, err
	}
	return deploy.ParsePlan(p.JSON)
}

// refuses fails unless planning with the image is a Fault of the service.
func (b *bench) refuses(image string) {
	b.t.Helper()
	_, err := b.planOf(image)
	if fault := deployments.FaultOf(err); fault == nil || fault.Kind != deployments.FaultConfig || fault.Service != "web" {
		b.t.Errorf("image %q: got %v, want a Fault of the service", image, err)
	}
}

func TestTrustedImage(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) {
		c.Rule = deployments.ImageRule{Trusted: []string{theEngine().tag}, Own: "127.0.0.1:5055/"}
	})
	got, err := b.planOf(b.engine.tag)
	if err != nil {
		t.Fatal(err)
	}
	if c := got.Containers[0]; c.Image != b.engine.image || c.Port != 8080 || c.Reference != b.engine.tag {
		t.Errorf("the trusted image is planned as %s (%s) at port %d, want %s at 8080", c.Image, c.Reference, c.Port, b.engine.image)
	}
	id := strings.TrimPrefix(b.engine.image, "sha256:")
	for _, image := range []string{b.engine.image, id, id[:12], "127.0.0.1:5055/acme/shop:id-1", "Not/Valid"} {
		b.refuses(image)
	}
}

// TestAskedImage holds that an image nobody trusts goes by what its registry says, also where the engine has it already.
func TestAskedImage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	registry := newRegistry(t)
	name := registry + "/acme/server:1"
	b.push(name)
	// The rule lets no registry of this machine be asked, and there is no other here: what follows a verdict to ask is tested by itself.
	ask := func(image string) (reference.Named, error) {
		named, err := reference.ParseNormalizedNamed(image)
		if err != nil {
			t.Fatal(err)
		}
		return b.asked(t.Context(), deploy.Service{Name: "web", Image: image}, named)
	}
	pinned, err := ask(name)
	if err != nil {
		t.Fatal(err)
	}
	found, err := b.client.ImageInspect(t.Context(), pinned.String())
	if err != nil || found.ID != b.engine.image {
		t.Errorf("%s is %s (%v), want %s, which was pushed", pinned, found.ID, err, b.engine.image)
	}
	private := registry + "/acme/private:1"
	if err := b.client.ImageTag(t.Context(), b.engine.image, private); err != nil {
		t.Fatal(err)
	}
	b.untag(private)
	if _, err := ask(private); deployments.FaultOf(err) == nil {
		t.Errorf("an image that only the engine has: got %v, want a Fault", err)
	}
	b.refuses(name)
}

// TestPulledImage holds that an image that the engine lacks is pulled. It makes an image of its own, as the engine is to forget it.
func TestPulledImage(t *testing.T) {
	t.Parallel()
	name := newRegistry(t) + "/acme/other:1"
	b := newBench(t, func(c *Config) { c.Rule = deployments.ImageRule{Trusted: []string{name}} })
	stream, err := b.client.ImageImport(t.Context(), image.ImportSource{Source: strings.NewReader(strings.Repeat("\x00", 1024)), SourceName: "-"}, name,
		image.ImportOptions{Changes: []string{"EXPOSE 3000", "EXPOSE 53/udp", "LABEL test=" + b.instance}})
	if err != nil {
		t.Fatal(err)
	}
	drain(t, stream)
	found, err := b.client.ImageInspect(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := b.client.ImagePush(t.Context(), name, image.PushOptions{RegistryAuth: "e30="})
	if err != nil {
		t.Fatal(err)
	}
	drain(t, pushed)
	if _, err := b.client.ImageRemove(t.Context(), found.ID, image.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	got, err := b.planOf(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := b.client.ImageRemove(context.Background(), found.ID, image.RemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	})
	if c := got.Containers[0]; c.Image != found.ID || c.Port != 3000 {
		t.Errorf("the image is planned as %s at port %d, want %s at 3000", c.Image, c.Port, found.ID)
	}
}

// TestRegistryAway holds that only a registry's answer is the user's fault, not that there is none.
func TestRegistryAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	closed := httptest.NewServer(nil)
	closed.Close()
	says := func(status int) *httptest.Server {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/" {
				http.Error(w, "{}", status)
			}
		}))
		t.Cleanup(server.Close)
		return server
	}
	for name, test := range map[string]struct {
		server *httptest.Server
		fault  bool
	}{
		"closed":            {closed, false},
		"broken":            {says(http.StatusInternalServerError), false},
		"in maintenance":    {says(http.StatusServiceUnavailable), false},
		"out of patience":   {says(http.StatusTooManyRequests), false},
		"without the image": {says(http.StatusNotFound), true},
		"for members only":  {says(http.StatusUnauthorized), true},
	} {
		s := deploy.Service{Name: "web", Image: strings.TrimPrefix(test.server.URL, "http://") + "/acme/shop:1"}
		named, err := reference.ParseNormalizedNamed(s.Image)
		if err != nil {
			t.Fatal(err)
		}
		_, asked := b.asked(t.Context(), s, named)
		for did, err := range map[string]error{"ask": asked, "pull": b.pull(t.Context(), s, named)} {
			if test.fault {
				if deployments.FaultOf(err) == nil {
					t.Errorf("%s a registry %s: got %v, want a Fault", did, name, err)
				}
				continue
			}
			waitsFor(t, err, "the registry of "+s.Image)
		}
	}
}

// TestRegistryError holds whose fault an engine's message about a pull is.
func TestRegistryError(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const own, usual = "registry.test/acme/shop:1", "acme/shop:1"
	for _, test := range []struct{ image, message, neighbour string }{ // no neighbour: the user
		{own, "dial tcp: lookup registry.test: no such host", ""},
		{usual, "dial tcp: lookup registry: no such host", "the registry of " + usual},
		{own, "dial tcp: lookup registry.test: server misbehaving", "the registry of " + own},
		{own, "net/http: TLS handshake timeout", "the registry of " + own},
		{own, "no matching manifest for linux/arm64/v8 in the manifest list entries", ""},
		{own, "failed to register layer: Error processing tar file(exit status 1): write /lib/x: no space left on device", neighbourDisk},
	} {
		err := b.registryError(t.Context(), deploy.Service{Name: "web", Image: test.image}, fmt.Errorf("pull: %w", errors.New(test.message)))
		if test.neighbour != "" {
			waitsFor(t, err, test.neighbour)
		} else if deployments.FaultOf(err) == nil {
			t.Errorf("%s: got %v, want a Fault", test.message, err)
		}
	}
}

// newRegistry returns the address of a registry on this host.
func newRegistry(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &configuration.Configuration{Storage: configuration.Storage{
		"inmemory":    configuration.Parameters{},
		"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
	}}
	c.HTTP.Secret = "a secret of this test"
	server := httptest.NewServer(handlers.NewApp(ctx, c))
	t.Cleanup(func() {
		server.Close()
		cancel()
	})
	return strings.TrimPrefix(server.URL, "http://")
}

// push brings the test image into a registry, and takes the name off the engine at the end.
func (b *bench) push(name string) {
	b.t.Helper()
	if err := b.client.ImageTag(b.t.Context(), b.engine.image, name); err != nil {
		b.t.Fatal(err)
	}
	b.untag(name)
	stream, err := b.client.ImagePush(b.t.Context(), name, image.PushOptions{RegistryAuth: "e30="})
	if err != nil {
		b.t.Fatal(err)
	}
	drain(b.t, stream)
}

func (b *bench) untag(name string) {
	b.t.Cleanup(func() {
		if _, err := b.client.ImageRemove(context.Background(), name, image.RemoveOptions{}); err != nil {
			b.t.Error(err)
		}
	})
}

// drain reads an engine's progress messages to their end; an error among them fails the test.
func drain(t *testing.T, stream io.ReadCloser) {
	t.Helper()
	defer stream.Close()
	said, err := io.ReadAll(stream)
	if err != nil || strings.Contains(string(said), `"errorDetail"`) {
		t.Fatalf("the engine says %s, %v", said, err)
	}
}

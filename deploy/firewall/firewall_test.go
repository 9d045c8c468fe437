//go:build linux

package firewall_test

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"vitrine/deploy/docker/enginetest"
	"vitrine/deploy/firewall"
	"vitrine/deployments"
)

func TestMain(m *testing.M) {
	// BuildKit's client has a timer of three seconds behind each build.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/moby/buildkit/client.(*Client).solve.func2.1.1"))
}

// rules returns what the kernel of the host has of the site, empty for nothing.
func (s *site) rules() string {
	s.Helper()
	out, err := s.nft("--stateless", "list", "table")
	if err != nil && !strings.Contains(out, "No such file") {
		s.Fatalf("nft: %v: %s", err, out)
	}
	if err != nil {
		return ""
	}
	return out
}

// The firewall is put up, tested, mended when it was changed, and removed: directly, and by containers where this process is in another network
// namespace than the engine's host.
func TestFirewall(t *testing.T) {
	engine := enginetest.Start(t)
	for _, path := range []string{"directly", "by containers"} {
		t.Run(path, func(t *testing.T) {
			s := newSite(t, engine.Host)
			if path == "by containers" {
				runtime.LockOSThread()
				check(t, unix.Unshare(unix.CLONE_NEWNET))
			}
			f := s.firewall(func(c *firewall.Config) { c.Builds = true })
			check(t, f.Ready(t.Context()))
			bridge, err := s.runtime.DefaultBridge(t.Context())
			check(t, err)
			up := s.rules()
			if !strings.Contains(up, "previews_beyond") || !strings.Contains(up, bridge.Name) {
				t.Fatalf("the rules are %q", up)
			}
			if words := f.Describe(); !strings.HasPrefix(words, "holds previews and builds off; put up "+path[:2]) {
				t.Errorf("it says %q", words)
			}
			if out, err := s.nft("flush", "table"); err != nil {
				t.Fatalf("nft: %v: %s", err, out)
			}
			check(t, f.Sweep(t.Context()))
			if again := s.rules(); again != up {
				t.Errorf("after the sweep the rules are %q", again)
			}
			left, err := s.runtime.Objects(t.Context())
			check(t, err)
			if len(left) > 0 {
				t.Errorf("the probes left %q", left)
			}
			check(t, f.Remove(t.Context()))
			if gone := s.rules(); gone != "" {
				t.Errorf("after Remove the rules are %q", gone)
			}
		})
	}
}

// While somebody else's container is in the network of builds, builds are not held off.
func TestForeignContainer(t *testing.T) {
	engine := enginetest.Start(t)
	s := newSite(t, engine.Host)
	f := s.firewall(func(c *firewall.Config) { c.Builds = true })
	docker, err := client.NewClientWithOpts(client.WithHost(engine.Host), client.WithAPIVersionNegotiation())
	check(t, err)
	t.Cleanup(func() { check(t, docker.Close()) })
	made, err := docker.ContainerCreate(t.Context(), &container.Config{Image: s.image, Entrypoint: []string{"/reach", "serve", ":80"}}, nil, nil, nil, "somebodys")
	check(t, err)
	t.Cleanup(func() {
		if err := docker.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true}); err != nil && !errdefs.IsNotFound(err) {
			t.Error(err)
		}
	})
	check(t, docker.ContainerStart(t.Context(), made.ID, container.StartOptions{}))
	check(t, f.Sweep(t.Context()))
	bridge, err := s.runtime.DefaultBridge(t.Context())
	check(t, err)
	if rules := s.rules(); rules == "" || strings.Contains(rules, bridge.Name) {
		t.Errorf("beside a foreign container the rules are %q", rules)
	}
	if words := f.Describe(); !strings.Contains(words, "but not builds, as "+bridge.Name+" is used by somebodys too") {
		t.Errorf("it says %q", words)
	}
	check(t, docker.ContainerRemove(t.Context(), made.ID, container.RemoveOptions{Force: true}))
	check(t, f.Sweep(t.Context()))
	if rules := s.rules(); !strings.Contains(rules, bridge.Name) {
		t.Errorf("after it is gone the rules are %q", rules)
	}
}

// Where a probe reaches what it must not, nothing starts until it does not any more.
func TestLeak(t *testing.T) {
	s := newSite(t, "")
	now := time.Now()
	leaking := s.firewall(func(c *firewall.Config) {
		// The probe's own port lets through all that the listener's rule does.
		c.Listener = netip.AddrPortFrom(netip.IPv4Unspecified(), 1)
		c.Now = func() time.Time { return now }
	})
	err := leaking.Ready(t.Context())
	var away *deployments.Unavailable
	var leak *firewall.Leak
	if !errors.As(err, &away) || !strings.Contains(away.Neighbour, "lets a preview or a build reach") || !errors.As(err, &leak) || leak.From != "a preview" {
		t.Fatalf("Ready: %v", err)
	}
	leaking.Listener = netip.AddrPort{}
	if err := leaking.Ready(t.Context()); !errors.As(err, &leak) {
		t.Errorf("Ready, at once again: %v", err)
	}
	now = now.Add(time.Minute)
	check(t, leaking.Ready(t.Context()))

	// An hour later it is tested again, and what was ready is not any more.
	leaking.Listener = netip.AddrPortFrom(netip.IPv4Unspecified(), 1)
	check(t, leaking.Sweep(t.Context()))
	now = now.Add(time.Hour)
	if err := leaking.Sweep(t.Context()); !errors.As(err, &leak) {
		t.Errorf("Sweep after an hour: %v", err)
	}
	if err := leaking.Ready(t.Context()); !errors.As(err, &leak) {
		t.Errorf("Ready after a sweep that found a leak: %v", err)
	}
}

// An engine that is away keeps a firewall from being put up, and does not take one down.
func TestEngineAway(t *testing.T) {
	engine := enginetest.Start(t)
	s := newSite(t, engine.Host)
	f := s.firewall(nil)
	engine.Stop()
	var away *deployments.Unavailable
	if err := f.Ready(t.Context()); !errors.As(err, &away) || away.Neighbour != "the Docker engine" {
		t.Errorf("Ready without an engine: %v", err)
	}
	engine.Restart()
	check(t, f.Sweep(t.Context()))
	check(t, f.Ready(t.Context()))
	engine.Stop()
	if err := f.Sweep(t.Context()); err == nil {
		t.Error("a sweep without an engine succeeds")
	}
	check(t, f.Ready(t.Context()))
	engine.Restart()
}

// Where the rules cannot be put up, the operator is meant to look, and nobody else is told more.
func TestCannotBePutUp(t *testing.T) {
	s := newSite(t, "")
	f := s.firewall(func(c *firewall.Config) {
		c.Program = func(context.Context) (firewall.Program, error) {
			return firewall.Program{}, errors.New("no static binary")
		}
	})
	err := f.Ready(t.Context())
	var away *deployments.Unavailable
	if !errors.As(err, &away) || !strings.Contains(away.Neighbour, "`vitrine doctor`") || !strings.Contains(err.Error(), "no static binary") {
		t.Errorf("Ready: %v", err)
	}
	if rules := s.rules(); rules != "" {
		t.Errorf("the rules are %q", rules)
	}
}

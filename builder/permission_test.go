package builder

import (
	"context"
	"errors"
	"testing"
	"time"

	"vitrine/deployments"
)

func TestPermission(t *testing.T) {
	rule := deployments.ImageRule{Trusted: []string{"debian:*", "base", "registry.test/acme/*", "127.0.0.1:9/*"}, Own: "127.0.0.1:5055/"}
	const yes, asked, no = "trusted", "asked", "refused"
	for image, want := range map[string]string{
		"debian:12":                        yes,
		"debian":                           yes,
		normal("debian:12"):                yes,
		"base":                             yes,
		"base:latest":                      yes,
		"base:2":                           asked,
		"registry.test/acme/x:1":           yes,
		"registry.test/acme/x/y:1":         asked,
		"127.0.0.1:9/x:1":                  yes,
		"debian@sha256:" + fullHash(""):    asked,
		"node:20":                          asked,
		"registry.test/other:1":            asked,
		"127.0.0.1:5055/x:1":               no,
		"127.0.0.1:5055/vitrine-a/b/c/d:1": no,
		"registry.test:5055/vitrine-a/b:1": no,
		"vitrine-a/b:1":                    no,
		"localhost:5055/x:1":               no,
		"localhost/x:1":                    no,
		"LOCALHOST:5055/x:1":               no,
		"registry.localhost:1/x:1":         no,
		"127.3.4.5/x:1":                    no,
		"0.0.0.0:5055/x":                   no,
		"[::1]:5055/x":                     no,
		"[::ffff:127.0.0.1]:5055/x":        no,
		"abcdef123456":                     no,
		normal("abcdef123456"):             no,
		fullHash("x"):                      no,
		"sha256:" + fullHash("x"):          no,
		"":                                 no,
		"UPPER":                            no,
		"../x":                             no,
		"debian:12:extra":                  no,
	} {
		t.Run(image, func(t *testing.T) {
			got := yes
			p := newPermission(rule, time.Now, func(context.Context, string) error { got = asked; return nil })
			if err := p.check(t.Context(), image); err != nil {
				fault(t, err, deployments.FaultBuild)
				got = no
			}
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestPermissionIsRememberedForAnHour(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	asked := 0
	var answer error
	p := newPermission(deployments.ImageRule{}, func() time.Time { return now }, func(_ context.Context, image string) error {
		asked++
		if image != "node:20" {
			t.Errorf("asked for %q", image)
		}
		return answer
	})
	for _, step := range []struct {
		after  time.Duration
		answer error
		asked  int
	}{
		{0, errors.New("engine away"), 1}, {0, imageFault("no"), 2}, {0, nil, 3}, {59 * time.Minute, imageFault("no"), 3}, {time.Minute, imageFault("no"), 4},
	} {
		now, answer = now.Add(step.after), step.answer
		err := p.check(t.Context(), normal("node:20"))
		if asked != step.asked {
			t.Fatalf("asked %d times, want %d", asked, step.asked)
		}
		if (err == nil) != (step.answer == nil || step.after == 59*time.Minute) {
			t.Errorf("got %v", err)
		}
	}
}

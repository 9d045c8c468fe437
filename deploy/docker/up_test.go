package docker

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/deploy"
	"vitrine/deployments"
)

func web(name string, args ...string) deploy.Service {
	return deploy.Service{Name: name, Command: args, Port: 8080, Public: true, Environment: map[string]string{"NAME": name}}
}

func job(name string, args ...string) deploy.Service {
	return deploy.Service{Name: name, Command: args}
}

func TestServicesTalkByName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	front, api := web("web"), web("api")
	front.Environment["VITRINE_URL_WEB"] = "https://shop-pr-42.preview.localhost:8443"
	api.Environment["VITRINE_URL_API"] = "http://broken.api-shop-pr-42.preview.localhost"
	api.Aliases = []string{"backend"}
	stack := deploy.Stack{Services: []deploy.Service{front, api}}
	backends := b.up(b.deployment(1, stack), stack)

	if got := backends["web"].Answer; got != 200 {
		t.Errorf("web answered %d to its own host, want 200", got)
	}
	if got := backends["api"].Answer; got != 500 {
		t.Errorf("api answered %d to its own host, want the 500 that this host gets", got)
	}
	for _, name := range []string{"api", "backend"} {
		if got := b.get(backends["web"], "/get", url.Values{"url": {"http://" + name + ":8080/"}}); !strings.HasPrefix(got, "api ") {
			t.Errorf("web got %q from %s", got, name)
		}
	}
}

func TestDependencies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	db := web("db", "-after", "300ms")
	db.Public = false
	db.Health = &deploy.Health{Test: []string{"CMD", "/server", "check", "http://127.0.0.1:8080/"}}
	migrate := job("migrate", "-after", "200ms", "-exit", "0")
	migrate.DependsOn = []deploy.Dependency{{Service: "db", Condition: deploy.Healthy}}
	front := web("web")
	front.DependsOn = []deploy.Dependency{{Service: "migrate", Condition: deploy.Completed}, {Service: "missing", Condition: deploy.Healthy, Optional: true}}
	stack := deploy.Stack{Services: []deploy.Service{front, migrate, db}}

	d := b.deployment(1, stack)
	p := b.plan(d, stack)
	var mu sync.Mutex
	var seen []string
	_, err := b.Up(t.Context(), d, p, func(service, status string) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, service+" "+status)
	})
	if err != nil {
		t.Fatal(err)
	}
	order := []string{"db starting", "db healthy", "migrate starting", "migrate completed", "web starting", "web healthy"}
	at := -1
	for _, line := range order {
		i := slices.Index(seen, line)
		if i <= at {
			t.Fatalf("%q is missing or too early in %q", line, seen)
		}
		at = i
	}
	for _, line := range []string{"web waits for migrate", "migrate waits for db"} {
		if !slices.Contains(seen, line) {
			t.Errorf("%q is missing in %q", line, seen)
		}
	}
	if got := b.inspect(d, "web").HostConfig.RestartPolicy.Name; got != "no" {
		t.Errorf("web has restart policy %q before it is live: nobody would see it end", got)
	}
	d.Plan = p
	if err := b.Restore(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if got := b.inspect(d, "web").HostConfig.RestartPolicy.Name; got != "unless-stopped" {
		t.Errorf("web has restart policy %q: it would not come back with the engine", got)
	}
	if got := b.inspect(d, "migrate").HostConfig.RestartPolicy.Name; got != "no" {
		t.Errorf("migrate has restart policy %q: it would run again with the engine", got)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	// The checks that answer have time enough to do so on a busy machine.
	checked := func(test ...string) deploy.Service {
		s := web("web", "-say", "booting")
		s.Health = &deploy.Health{Test: test}
		s.StartTimeout = 5 * time.Second
		return s
	}
	hanging := checked("CMD", "/server", "hang")
	hanging.Health.Timeout = 200 * time.Millisecond
	port := func(args ...string) deploy.Service {
		s := web("web", args...)
		s.StartTimeout = time.Second
		return s
	}
	needed := web("web")
	needed.DependsOn = []deploy.Dependency{{Service: "job", Condition: deploy.Completed}}
	stranger := web("web")
	stranger.User = "nobody-here"
	greedy := web("web")
	greedy.Ulimits = map[string]deploy.Ulimit{"nofile": {Soft: 1024, Hard: 1 << 40}} // more than any kernel gives
	nowhere := web("web")
	nowhere.Entrypoint = []string{"/nowhere"}
	slow := job("job", "-listen", "none")
	slow.StartTimeout = time.Second

	tests := map[string]struct {
		services []deploy.Service
		service  string
		reason   []string // its parts
		excerpt  string   // one of its lines
	}{
		"exits at once":       {[]deploy.Service{web("web", "-exit", "3", "-say", "\x1b[31mno configuration\x1b[0m")}, "web", []string{"exited with status 3 after 0"}, "no configuration"},
		"exits later":         {[]deploy.Service{job("web", "-after", "700ms", "-exit", "1")}, "web", []string{"exited with status 1 after 0."}, "exiting with 1"},
		"ends unasked":        {[]deploy.Service{web("web"), job("job", "-exit", "0")}, "job", []string{"exited with status 0", "service_completed_successfully"}, "exiting with 0"},
		"awaited job fails":   {[]deploy.Service{needed, job("job", "-exit", "2")}, "job", []string{"exited with status 2"}, "exiting with 2"},
		"awaited job lasts":   {[]deploy.Service{needed, slow}, "job", []string{"has not ended after 1 s"}, ""},
		"never healthy":       {[]deploy.Service{checked("CMD", "/server", "fail")}, "web", []string{"is not healthy after 5 s", "exited with status 1: the database is not ready"}, "booting"},
		"check hangs":         {[]deploy.Service{hanging}, "web", []string{"is not healthy after 5 s", "the check did not end within 0.2 s"}, "booting"},
		"check without shell": {[]deploy.Service{checked("CMD-SHELL", "true")}, "web", []string{"is not healthy after 5 s", "/bin/sh"}, "booting"},
		"nothing listens":     {[]deploy.Service{port("-listen", "none", "-say", "idle")}, "web", []string{"nothing listens on port 8080 (looked for 1 s)"}, "idle"},
		"listens on loopback": {[]deploy.Service{port("-listen", "127.0.0.1:8080")}, "web", []string{"nothing listens on port 8080", "127.0.0.1:8080 only", "0.0.0.0"}, ""},
		"listens elsewhere":   {[]deploy.Service{port("-listen", ":3000")}, "web", []string{"nothing listens on port 8080", "it listens on port 3000"}, ""},
		"unknown user":        {[]deploy.Service{stranger}, "web", []string{"cannot be started", "nobody-here"}, ""},
		"too many files":      {[]deploy.Service{greedy}, "web", []string{"with its ulimits", "lower them"}, ""},
		"unknown command":     {[]deploy.Service{nowhere}, "web", []string{"/nowhere"}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			stack := deploy.Stack{Services: test.services}
			fault := b.fails(b.deployment(1, stack), stack)
			if fault.Kind != "start" || fault.Service != test.service {
				t.Errorf("got a %q fault of service %q, want %q", fault.Kind, fault.Service, test.service)
			}
			for _, part := range test.reason {
				if !strings.Contains(fault.Reason+"\n"+strings.Join(fault.Excerpt, "\n"), part) {
					t.Errorf("reason %q does not say %q", fault.Reason, part)
				}
			}
			if test.excerpt != "" && !slices.Contains(fault.Excerpt, test.excerpt) {
				t.Errorf("excerpt %q does not have the line %q", fault.Excerpt, test.excerpt)
			}
		})
	}
}

// Wherever output is cut, by us or by the engine, no part of a secret is left at the cut.
func TestFaultsShowNoPartOfASecret(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-first"
	fill := func(n int) string { return strings.Repeat("x", n) }
	unwell := web("web", "-say", "booting")
	unwell.StartTimeout = 5 * time.Second
	unwell.Health = &deploy.Health{Test: []string{"CMD", "/server", "fail", fill(outputLimit-5) + "\n" + secret}}
	wide := unwell
	wide.Health = &deploy.Health{Test: []string{"CMD", "/server", "fail", fill(excerptWidth-4) + secret}}
	const piece = 16 << 10 // in which the engine keeps long lines
	for name, test := range map[string]struct {
		service deploy.Service
		shown   string // a line, or its end
	}{
		"the width of a line":      {web("web", "-exit", "1", "-say", fill(excerptWidth-4)+secret), fill(excerptWidth-4) + "***"},
		"the engine's first piece": {web("web", "-exit", "1", "-say", fill(piece-4)+secret+" it is"+strings.Repeat("\nline", excerptLines-2)), fill(excerptWidth)},
		"a piece that nobody sees": {
			web("web", "-exit", "1", "-say", fill(piece-4)+secret+strings.Repeat("y", piece)+strings.Repeat("\nline", excerptLines-2)), "line",
		},
		"what a check prints":     {unwell, "exited with status 1: ***"},
		"how wide a check prints": {wide, fill(excerptWidth-4) + "***"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *Config) {
				c.Secrets = func(context.Context, string) ([]string, error) { return []string{secret}, nil }
			})
			stack := deploy.Stack{Services: []deploy.Service{test.service}}
			fault := b.fails(b.deployment(1, stack), stack)
			all := append(slices.Clone(fault.Excerpt), fault.Reason)
			if !slices.ContainsFunc(all, func(line string) bool { return strings.HasSuffix(strings.TrimSuffix(line, "..."), test.shown) }) {
				t.Errorf("no line of %q ends in %q", all, test.shown)
			}
			for _, line := range all {
				for _, part := range []string{"hunt", "er2-", "first"} {
					if strings.Contains(line, part) {
						t.Errorf("%q shows %q", line, part)
					}
				}
			}
		})
	}
}

func TestLatePort(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stack := deploy.Stack{Services: []deploy.Service{web("web", "-after", "1500ms")}}
	if got := b.up(b.deployment(1, stack), stack)["web"].Answer; got != 200 {
		t.Errorf("the late service answered %d, want 200", got)
	}
}

func TestSideBySide(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stack := deploy.Stack{Services: []deploy.Service{web("web"), web("api")}}
	first, second := b.deployment(1, stack), b.deployment(2, stack)
	old, young := b.up(first, stack), b.up(second, stack)
	if old["web"].URL == young["web"].URL || old["web"].Answer != 200 || young["web"].Answer != 200 {
		t.Fatalf("web answers at %+v and at %+v, want two places and 200", old["web"], young["web"])
	}
	there, err := b.Inventory(t.Context())
	if err != nil || !slices.Equal(there.Deployments, []int64{1, 2}) || len(there.States) != 0 {
		t.Fatalf("inventory is %v, %v; want the deployments 1 and 2", there, err)
	}
	if err := b.Down(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if n := b.left(1); n != 0 {
		t.Errorf("%d objects of deployment 1 are left", n)
	}
	if got := b.get(young["web"], "/get", url.Values{"url": {"http://api:8080/"}}); !strings.HasPrefix(got, "api ") {
		t.Errorf("deployment 2 answers %q after deployment 1 was removed", got)
	}
}

// TestAgain holds that carrying a plan out twice makes nothing twice, and that a container of the name that is another is not taken for ours.
func TestAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stack := deploy.Stack{Services: []deploy.Service{web("web")}}
	d := b.deployment(1, stack)
	b.up(d, stack)
	before := b.inspect(d, "web").ID
	b.up(d, stack)
	if after := b.inspect(d, "web").ID; after != before {
		t.Errorf("the container was made anew: %s, then %s", before, after)
	}
	changed := deploy.Stack{Services: []deploy.Service{web("web", "-say", "changed")}}
	_, err := b.Up(t.Context(), d, b.plan(d, changed), nil)
	if err == nil || !strings.Contains(err.Error(), "vitrine.config") {
		t.Errorf("got %v for a container of the same name and another configuration, want an error that says so", err)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	cause := errors.New("superseded by 3f2a91c")
	waiting := web("web", "-listen", "none")
	waiting.DependsOn = []deploy.Dependency{{Service: "db", Condition: deploy.Started}}
	stack := deploy.Stack{
		Services: []deploy.Service{job("db", "-listen", "none"), waiting},
		Volumes:  []string{"files"},
	}
	for _, at := range []string{"db starting", "db healthy", "web waits for db", "web starting"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			d := b.deployment(1, stack)
			p := b.plan(d, stack)
			ctx, cancel := context.WithCancelCause(t.Context())
			_, err := b.Up(ctx, d, p, func(service, status string) {
				if service+" "+status == at {
					cancel(cause)
				}
			})
			if !errors.Is(err, cause) {
				t.Fatalf("got %v, want the cause of the cancellation", err)
			}
			if err := b.Down(t.Context(), d.ID); err != nil {
				t.Fatal(err)
			}
			if n := b.left(d.ID); n != 0 {
				t.Errorf("%d objects are left", n)
			}
		})
	}
}

// A service without a check of its own is up once it answers where its image says, and otherwise when it has run for a while.
func TestExposedPorts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i, check := range []deploy.Check{
		{Kind: deploy.CheckRunning, Ports: []int{8080}, Settle: time.Hour, Timeout: time.Minute},
		{Kind: deploy.CheckRunning, Ports: []int{8080, 9}, Settle: 300 * time.Millisecond, Timeout: time.Minute},
	} {
		s := web("web")
		s.Port, s.Public = 0, false
		stack := deploy.Stack{Services: []deploy.Service{s}}
		d := b.deployment(int64(i+1), stack)
		plan, err := deploy.ParsePlan(b.plan(d, stack).JSON)
		if err != nil {
			t.Fatal(err)
		}
		plan.Containers[0].Check = check
		encoded, err := json.Marshal(plan)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Up(t.Context(), d, deployments.Plan{JSON: encoded}, b.progress); err != nil {
			t.Errorf("%v: %v", check, err)
		}
	}
}

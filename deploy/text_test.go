package deploy

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestPlanText(t *testing.T) {
	full := input(
		Service{
			Name: "web", Port: 8080, Public: true, Command: []string{"serve", "--port", "8080"}, User: "1000", WorkingDir: "/app", ReadOnly: true,
			Environment: map[string]string{"VITRINE_URL_WEB": "http://shop-pr-42.preview.localhost:8080", "SECRET": "do not show"},
			DependsOn:   []Dependency{{Service: "migrate", Condition: Completed}, {Service: "db", Condition: Healthy}, {Service: "gone", Optional: true}},
			Tmpfs:       []Tmpfs{{Target: "/tmp"}}, Memory: 8 << 30, CPUs: 0.5, CPUShares: 512, PostStart: []Hook{{Command: []string{"bin/warm", "cache"}}}, StopSignal: "SIGQUIT", StopGrace: 5 * time.Second,
		},
		Service{Name: "db", Image: "postgres:16", Aliases: []string{"database", "db"}, Mounts: []Mount{{Volume: "pgdata", Target: "/var/lib/postgresql/data"}},
			Health: &Health{Test: []string{"CMD", "pg_isready"}, Interval: time.Second, StartPeriod: 10 * time.Second}},
		Service{Name: "migrate", Entrypoint: []string{"/migrate"}, DependsOn: []Dependency{{Service: "db", Condition: Healthy}}, Memory: 1536 << 20},
		Service{Name: "cache", Image: "redis:7"},
	)
	full.Stack.Volumes = []string{"pgdata"}
	full.Images["db"] = Image{ID: someID, Reference: "postgres:16", Volumes: []string{"/var/lib/postgresql/data", "/dump"}}
	full.Images["cache"] = Image{ID: someID, Reference: "redis:7", Volumes: []string{"/data"}}
	for name, in := range map[string]PlanInput{
		"one": input(Service{Name: "web", Port: 80, Public: true}), "full": full, "settings": settings(), "second": second(t),
	} {
		t.Run(name, func(t *testing.T) {
			p, err := NewPlan(in)
			if err != nil {
				t.Fatal(err)
			}
			got := p.String()
			if strings.Contains(got, "do not show") {
				t.Error("the text shows the value of a variable")
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("plan (-want +got), -update rewrites:\n%s", diff)
			}
			encoded, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParsePlan(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(p, again, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
				t.Errorf("plan after JSON (-want +got):\n%s", diff)
			}
		})
	}
}

// settings is a stack with what is seldom asked for.
func settings() PlanInput {
	in := input(
		Service{
			Name: "web", Port: 8080, Public: true, HealthPath: "/healthz", Replicas: 2, NoInit: true, CapDrop: []string{"CHOWN"}, ReadOnly: true, ShmSize: 64 << 20,
			Ulimits: map[string]Ulimit{"nofile": {Soft: 1024, Hard: 2048}}, Labels: map[string]string{"org.example": "x"},
			Files: []File{{Target: "/app", Source: "."}, {Target: "/run/secrets/key", Content: []byte("do not show")}},
		},
		Service{Name: "db", Replicas: 2},
	)
	in.Images["db"] = Image{ID: someID, Volumes: []string{"/data"}}
	return in
}

// second is the plan of a deployment after another one: the cache stays, the database changes and its jobs go before it, the queue is not there any more,
// and the search has another name.
func second(t *testing.T) PlanInput {
	t.Helper()
	keeps := func(name string, command ...string) Service {
		return Service{Name: name, Command: command, Mounts: []Mount{{Volume: strings.TrimSuffix(name, "2"), Target: "/data"}}}
	}
	front := func() Service {
		return Service{Name: "web", Port: 80, DependsOn: []Dependency{{Service: "db", Condition: Healthy}}}
	}
	in := input(front(), keeps("db", "v1"), keeps("cache"), keeps("queue"), keeps("search"))
	in.Stack.Volumes = []string{"db", "cache", "queue", "search"}
	first, err := NewPlan(in)
	if err != nil {
		t.Fatal(err)
	}
	next := input(front(), keeps("db", "v2"), keeps("cache"), keeps("search2"))
	next.Stack.Volumes = in.Stack.Volumes
	next.Deployment, next.State, next.Live = 18, 17, &first
	next.Subnet = netip.MustParsePrefix("10.213.0.64/27")
	seed := Job{Service: "db", Run: []string{"seed"}, First: true}
	next.Ran = []string{seed.key()}
	next.Stack.Jobs = []Job{
		seed, {Service: "db", Run: []string{"migrate", "all"}}, {Service: "db", Run: []string{"fixtures"}, First: true}, {Service: "web", Run: []string{"warm"}},
		{Service: "cache", Run: []string{"trim"}},
	}
	return next
}

func TestParsePlanVersion(t *testing.T) {
	for _, b := range []string{`{"version": 3}`, `{}`, `[`} {
		if _, err := ParsePlan([]byte(b)); err == nil {
			t.Errorf("%s was taken for a plan", b)
		}
	}
}

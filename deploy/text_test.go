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
			Tmpfs:       []Tmpfs{{Target: "/tmp"}}, Memory: 8 << 30, CPUs: 0.5, StopSignal: "SIGQUIT", StopGrace: 5 * time.Second,
		},
		Service{Name: "db", Image: "postgres:16", Aliases: []string{"database", "db"}, Mounts: []Mount{{Volume: "pgdata", Target: "/var/lib/postgresql/data"}},
			Health: &Health{Test: []string{"CMD", "pg_isready"}, Interval: time.Second, StartPeriod: 10 * time.Second}},
		Service{Name: "migrate", Entrypoint: []string{"/migrate"}, DependsOn: []Dependency{{Service: "db", Condition: Healthy}}, Memory: 1536 << 20},
		Service{Name: "cache", Image: "redis:7"},
	)
	full.Stack.Volumes = []string{"pgdata"}
	full.Images["db"] = Image{ID: someID, Reference: "postgres:16", Volumes: []string{"/var/lib/postgresql/data", "/dump"}}
	full.Images["cache"] = Image{ID: someID, Reference: "redis:7", Volumes: []string{"/data"}}
	for name, in := range map[string]PlanInput{"one": input(Service{Name: "web", Port: 80, Public: true}), "full": full} {
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

func TestParsePlanVersion(t *testing.T) {
	for _, b := range []string{`{"version": 3}`, `{}`, `[`} {
		if _, err := ParsePlan([]byte(b)); err == nil {
			t.Errorf("%s was taken for a plan", b)
		}
	}
}

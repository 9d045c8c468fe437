package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

func TestVariables(t *testing.T) {
	f := newFixture(t)
	f.ok(f.SetVariables(t.Context(), "acme/shop", map[string]string{"A": "one", "B": "two"}))
	f.clock.Add(time.Hour)
	f.ok(f.SetVariables(t.Context(), "Acme/Shop", map[string]string{"B": "three", "EMPTY": ""}))
	f.ok(f.SetVariables(t.Context(), "acme/front", map[string]string{"A": "other"}))
	if diff := cmp.Diff(map[string]string{"A": "one", "B": "three", "EMPTY": ""}, must(f.Variables(t.Context(), "ACME/shop"))); diff != "" {
		t.Error(diff)
	}
	set := map[string]time.Time{"A": start, "B": start.Add(time.Hour), "EMPTY": start.Add(time.Hour)}
	if diff := cmp.Diff(set, must(f.VariablesSet(t.Context(), "acme/shop"))); diff != "" {
		t.Error(diff)
	}
	if err := f.RemoveVariables(t.Context(), "acme/shop", []string{"A", "C"}); !errors.Is(err, deployments.ErrNotFound) {
		t.Errorf("remove one that is not there: %v", err)
	}
	if len(must(f.Variables(t.Context(), "acme/shop"))) != 3 {
		t.Error("some were removed all the same")
	}
	f.ok(f.RemoveVariables(t.Context(), "acme/shop", []string{"A", "EMPTY"}))
	if diff := cmp.Diff(map[string]string{"B": "three"}, must(f.Variables(t.Context(), "acme/shop"))); diff != "" {
		t.Error(diff)
	}
	if got := must(f.Variables(t.Context(), "acme/none")); len(got) != 0 {
		t.Errorf("a repository without any has %v", got)
	}
}

// A value that somebody copied to another name or repository within the database does not open there.
func TestVariablesStayInTheirPlace(t *testing.T) {
	f := newFixture(t)
	f.ok(f.SetVariables(t.Context(), "acme/shop", map[string]string{"A": "one"}))
	if _, err := f.writer.Exec(`INSERT INTO variables (repo, name, value, set_at) SELECT 'mallory/shop', name, value, set_at FROM variables`); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Variables(t.Context(), "mallory/shop"); err == nil {
		t.Errorf("another repository has %v", got)
	}
}

func TestGenerate(t *testing.T) {
	f := newFixture(t)
	one, two := f.up(pull(1), commit(1, "a")), f.up(pull(2), commit(2, "b"))
	generate := func(e deployments.Environment, lengths map[string]int) map[string]string {
		return must(f.Generate(context.Background(), e.ID, lengths))
	}
	first := generate(one, map[string]int{"KEY": 64, "ODD": 17})
	for name, length := range map[string]int{"KEY": 64, "ODD": 17} {
		if !regexp.MustCompile(`^[0-9a-f]+$`).MatchString(first[name]) || len(first[name]) != length {
			t.Errorf("%s is %q", name, first[name])
		}
	}
	if diff := cmp.Diff(first, generate(one, map[string]int{"KEY": 64, "ODD": 17})); diff != "" {
		t.Errorf("drawn anew: %s", diff)
	}
	if first["KEY"] == generate(two, map[string]int{"KEY": 64})["KEY"] {
		t.Error("two environments have the same value")
	}
	if longer := generate(one, map[string]int{"KEY": 128})["KEY"]; len(longer) != 128 {
		t.Errorf("asked for 128 digits, got %d", len(longer))
	}
	if got := generate(one, nil); len(got) != 0 {
		t.Errorf("asked for nothing, got %v", got)
	}
}

// What an environment has drawn goes with it.
func TestGeneratedGoes(t *testing.T) {
	f := newFixture(t)
	e := f.up(pull(1), commit(1, "a"))
	before := must(f.Generate(t.Context(), e.ID, map[string]int{"KEY": 64}))
	f.accept(closed(pull(1)))
	e = f.of(pull(1))
	must(f.TakeDown(t.Context(), e.ID, e.Generation))
	f.ok(f.TakenDown(t.Context(), e.ID, e.Generation))
	if after := must(f.Generate(t.Context(), e.ID, map[string]int{"KEY": 64})); after["KEY"] == before["KEY"] {
		t.Error("the value outlived the environment")
	}
}

// What is secret comes back from the Store, and none of the bytes in the data folder show it.
func TestSecretsAreNotOnTheDisk(t *testing.T) {
	dir, c := t.TempDir(), &clock{now: start}
	f := &fixture{t, must(Open(t.Context(), dir, options(c))), c}
	secrets := []string{"sk_live_variable", "0123456789abcdef-plan", ""}
	f.ok(f.SetVariables(t.Context(), "acme/shop", map[string]string{"A": secrets[0]}))
	f.accept(push(pull(1), commit(1, "a")))
	d := f.claim(pull(1))
	secrets[2] = must(f.Generate(t.Context(), d.Environment, map[string]int{"KEY": 64}))["KEY"]
	d.Phase = deployments.Building
	d.Secrets = secrets
	d.Plan.JSON = json.RawMessage(`{"environment":"` + secrets[1] + `"}`)
	f.ok(f.Save(t.Context(), d))
	stored := must(f.Deployment(t.Context(), d.ID))
	if diff := cmp.Diff(secrets, stored.Secrets); diff != "" {
		t.Error(diff)
	}
	if string(stored.Plan.JSON) != string(d.Plan.JSON) {
		t.Errorf("the plan is %s", stored.Plan.JSON)
	}
	searched := 0
	search := func() {
		f.ok(filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			searched += len(content)
			for _, s := range secrets {
				if bytes.Contains(content, []byte(s)) {
					t.Errorf("%s shows %s", path, s)
				}
			}
			return err
		}))
	}
	search()
	f.ok(f.Close())
	search()
	if searched < 10_000 {
		t.Errorf("looked at %d bytes only", searched)
	}
}

// A database from before there were Variables keeps what it has: a plan that was stored as it is, and a commit that is live.
func TestMigrationKeepsPlans(t *testing.T) {
	dir, c := t.TempDir(), &clock{now: start}
	db := must(sql.Open("sqlite", filepath.Join(dir, databaseFile)))
	steps := must(fs.Glob(migrations, "migrations/*.sql"))
	before := slices.Index(steps, "migrations/0004_variables.sql")
	for i, name := range steps[:before] {
		if err := step(t.Context(), db, name, i+1); err != nil {
			t.Fatal(err)
		}
	}
	for _, statement := range []string{
		`INSERT INTO store (only_row, instance) VALUES (1, '0123456789ab')`,
		`INSERT INTO hosts (label, owner) VALUES ('shop-pr-1', 'acme/shop#1')`,
		`INSERT INTO environments (name, origin, repo, pull_request, branch, given_name, intent, decided_by, cause, generation, observed, created_at)
			VALUES ('shop-pr-1', 'acme/shop#1', 'acme/shop', 1, '', '', 'up', 'event', 'push', 1, 1, 1)`,
		`INSERT INTO deployments (environment_id, generation, source, phase, subnet, plan, created_at)
			VALUES (1, 1, '{"sha":"0000001"}', 'ready', '10.213.0.0/27', CAST('{"version":1}' AS BLOB), 1)`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	f := &fixture{t, must(Open(t.Context(), dir, options(c))), c}
	defer f.Close()
	d := must(f.Deployment(t.Context(), 1))
	if string(d.Plan.JSON) != `{"version":1}` || d.Secrets != nil || d.Phase != deployments.Ready {
		t.Errorf("the deployment is %+v", d)
	}
	f.ok(f.SetVariables(t.Context(), "acme/shop", map[string]string{"A": "b"}))
}

func TestRetime(t *testing.T) {
	f := newFixture(t)
	e := f.up(pull(1), commit(1, "a"))
	expires := func() time.Duration { return f.of(pull(1)).Expires.Sub(start) }
	for _, step := range []struct {
		ttl, want time.Duration
		history   string
	}{
		{0, 168 * time.Hour, "live: 0000001"},
		{24 * time.Hour, 24 * time.Hour, "live: 0000001"},
		{900 * time.Hour, 720 * time.Hour, "ttl is cut to 720h0m0s: the server lets no preview stay longer"},
		{900 * time.Hour, 720 * time.Hour, "ttl is cut to 720h0m0s: the server lets no preview stay longer"},
		{0, 168 * time.Hour, "ttl is cut to 720h0m0s: the server lets no preview stay longer"},
	} {
		f.ok(f.Retime(t.Context(), e.ID, step.ttl))
		events := must(f.Events(t.Context(), "acme/shop#1"))
		if last := events[len(events)-1].Text; expires() != step.want || last != step.history {
			t.Errorf("with a ttl of %s it expires after %s, want %s; the history ends in %q", step.ttl, expires(), step.want, last)
		}
	}
	f.ok(f.Retime(t.Context(), e.ID, 24*time.Hour))
	f.clock.Add(time.Hour)
	f.accept(push(pull(1), commit(2, "a")))
	if expires() != 25*time.Hour {
		t.Errorf("after a push it expires after %s", expires())
	}
	branch := f.up(tracked("main"), commit(3, "main"))
	f.ok(f.Retime(t.Context(), branch.ID, time.Hour))
	if !f.of(tracked("main")).Expires.IsZero() {
		t.Error("a tracked branch expires")
	}
}

// What was secret of an environment stays known after a newer deployment has other values, and after its end.
func TestSecretsOfAnEnvironment(t *testing.T) {
	f := newFixture(t)
	want := func(environment string, secrets ...string) {
		t.Helper()
		if diff := cmp.Diff(secrets, must(f.Secrets(t.Context(), environment))); diff != "" {
			t.Errorf("of %s (-want +got):\n%s", environment, diff)
		}
	}
	f.accept(push(pull(1), commit(1, "a")))
	f.accept(push(pull(2), commit(2, "b")))
	want("shop-pr-1")
	for generation, secrets := range [][]string{{"second", "first"}, {"third", "second"}, nil} {
		if generation > 0 {
			f.accept(push(pull(1), commit(1, fmt.Sprint("c", generation))))
		}
		d := f.claim(pull(1))
		d.Phase, d.Secrets = deployments.Building, secrets
		f.ok(f.Save(t.Context(), d))
		d.Phase, d.Reason = deployments.Failed, "it does not build"
		f.ok(f.Settle(t.Context(), d))
	}
	want("shop-pr-1", "first", "second", "third")
	want("shop-pr-2")
	if secrets, err := f.Secrets(t.Context(), "shop-pr-3"); !errors.Is(err, deployments.ErrNotFound) {
		t.Errorf("of no environment: %q, %v", secrets, err)
	}
}

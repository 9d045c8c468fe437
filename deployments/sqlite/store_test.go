package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vitrine/deployments"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(acceptInto); dir != "" {
		acceptForever(dir)
	}
	goleak.VerifyTestMain(m)
}

var (
	pool     = netip.MustParsePrefix("10.213.0.0/16")
	lifetime = deployments.Lifetime{TTL: 168 * time.Hour, Max: 720 * time.Hour}
	start    = time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
)

// A clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func options(c *clock) Options {
	return Options{Now: c.Now, Lifetime: lifetime, Domain: "preview.test"}
}

// A fixture is a store of a test's own, with shorthands that fail the test.
type fixture struct {
	testing.TB
	*Store
	clock *clock
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	c := &clock{now: start}
	s, err := Open(t.Context(), t.TempDir(), options(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &fixture{t, s, c}
}

// ok fails the test for an error.
func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// must returns the value of a call that must not err.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func pull(n int) deployments.Origin { return deployments.Origin{Repo: "acme/shop", PullRequest: n} }

func tracked(branch string) deployments.Origin {
	return deployments.Origin{Repo: "acme/shop", Branch: branch}
}

// sha returns a commit's name that begins with the digits of n.
func sha(n int) string { return fmt.Sprintf("%07d%033d", n, 0) }

func commit(n int, branch string) deployments.Source {
	return deployments.Source{Repo: "acme/shop", Branch: branch, SHA: sha(n)}
}

func push(o deployments.Origin, s deployments.Source) deployments.Want {
	return deployments.Want{Origin: o, Source: s, Intent: deployments.Up, By: deployments.ByEvent, Cause: "push " + s.ShortSHA()}
}

func closed(o deployments.Origin) deployments.Want {
	return deployments.Want{Origin: o, Intent: deployments.Gone, By: deployments.ByEvent, Cause: "pull request closed"}
}

// accept takes wants in with a delivery of our own and returns what it raised.
func (f *fixture) accept(wants ...deployments.Want) []deployments.Environment {
	f.Helper()
	return must(f.Accept(context.Background(), deployments.Delivery{Event: "test", Wants: wants}))
}

// up makes a pull request or branch live at a commit, with the services given (web where there are none), and returns its environment.
func (f *fixture) up(o deployments.Origin, s deployments.Source, services ...string) deployments.Environment {
	f.Helper()
	f.accept(push(o, s))
	f.deploy(o, services...)
	return f.of(o)
}

// deploy brings the present generation of what is there up, and returns the deployment and the records that the switch made.
func (f *fixture) deploy(o deployments.Origin, services ...string) (deployments.Deployment, []deployments.Route) {
	f.Helper()
	if len(services) == 0 {
		services = []string{"web"}
	}
	d := f.claim(o)
	f.ok(f.Adopt(f.Context(), d, deployments.Head{Open: true, Source: f.of(o).Source()}))
	d.Services = nil
	for i, label := range must(f.Reserve(f.Context(), d.Environment, public(services...))) {
		d.Services = append(d.Services, deployments.ServiceState{Name: services[i], Host: label})
	}
	routes := must(f.Switch(f.Context(), d, backends(d, services...), f.clock.Now()))
	return d, routes
}

// public are services whose hosts begin with their names.
func public(names ...string) (list []deployments.PublicService) {
	for _, name := range names {
		list = append(list, deployments.PublicService{Name: name})
	}
	return list
}

func backends(d deployments.Deployment, services ...string) (list []deployments.Backend) {
	for i, service := range services {
		addr := d.Subnet.Addr().As4()
		list = append(list, deployments.Backend{
			Service: service, URL: fmt.Sprintf("http://%d.%d.%d.%d:8080", addr[0], addr[1], addr[2], int(addr[3])+2+i), Answer: 200,
		})
	}
	return list
}

func (f *fixture) claim(o deployments.Origin) deployments.Deployment {
	f.Helper()
	return must(f.Claim(f.Context(), f.of(o).ID, pool, nil))
}

func (f *fixture) of(o deployments.Origin) deployments.Environment {
	f.Helper()
	return must(f.EnvironmentOf(f.Context(), o.Key()))
}

// down takes a pull request or branch down and returns the records to be written.
func (f *fixture) down(o deployments.Origin) []deployments.Route {
	f.Helper()
	f.accept(closed(o))
	e := f.of(o)
	routes := must(f.TakeDown(f.Context(), e.ID, e.Generation))
	f.ok(f.TakenDown(f.Context(), e.ID, e.Generation))
	return routes
}

func (f *fixture) texts(o deployments.Origin) (list []string) {
	f.Helper()
	for _, e := range must(f.Events(f.Context(), o.Key())) {
		list = append(list, e.Text)
	}
	return list
}

func TestOpenMakesAFolderForItsOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b%20?#", "vitrine")
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, want := range map[string]os.FileMode{"": 0o700, databaseFile: 0o600, databaseFile + "-wal": 0o600, lockFile: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("mode of %q = %o, want %o", name, got, want)
		}
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		if err := s.writer.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("PRAGMA %s = %q, %v, want %q", pragma, got, err, want)
		}
	}
}

func TestInstanceIsKept(t *testing.T) {
	dir := t.TempDir()
	var names []string
	for range 2 {
		s, err := Open(t.Context(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, s.Instance())
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !regexp.MustCompile(`^[0-9a-f]{12}$`).MatchString(names[0]) || names[0] != names[1] {
		t.Errorf("instances = %q, want the same 12 hexadecimal digits twice", names)
	}
	other := newFixture(t)
	if other.Instance() == names[0] {
		t.Errorf("two data folders have the same instance %s", names[0])
	}
}

func TestOpenRefusesAFolderInUse(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("data folder %s is in use by another Vitrine (process %d); stop it or give this one another folder with --data", dir, os.Getpid())
	if _, err := Open(t.Context(), dir, Options{}); err == nil || err.Error() != want {
		t.Errorf("second Open: %v, want %s", err, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	s, err = Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatalf("Open after Close: %v", err)
	}
	defer s.Close()
}

func TestOpenRefusesANewerDatabase(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`PRAGMA user_version = 9999`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the folder is given back after the refusal
		_, err := Open(t.Context(), dir, Options{})
		if err == nil || !strings.Contains(err.Error(), "was written by a newer Vitrine (schema 9999") {
			t.Errorf("Open: %v, want that the database is newer", err)
		}
	}
}

func TestOpenSaysWhatIsNotADatabase(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, databaseFile)
	if err := os.WriteFile(file, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, Options{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Open: %v, want an error that names %s", err, file)
	}
}

func TestAFailedMigrationLeavesNothing(t *testing.T) {
	f := newFixture(t)
	var before int
	f.ok(f.writer.QueryRow(`PRAGMA user_version`).Scan(&before))
	if err := step(t.Context(), f.writer, "migrations/0001_initial.sql", before+1); err == nil {
		t.Fatal("the first step went through twice")
	}
	var version int
	if err := f.writer.QueryRow(`PRAGMA user_version`).Scan(&version); err != nil || version != before {
		t.Errorf("version = %d, %v, want %d", version, err, before)
	}
}

// A full disk is a neighbour that is waited for, and loses nothing.
func TestFullDisk(t *testing.T) {
	f := newFixture(t)
	limit := func(pages int) {
		if _, err := f.writer.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(1)
	d := deployments.Delivery{GUID: "g", Wants: []deployments.Want{push(pull(1), commit(1, strings.Repeat("long", 10_000)))}}
	_, err := f.Accept(t.Context(), d)
	var u *deployments.Unavailable
	if !errors.As(err, &u) || u.Neighbour != deployments.DiskSpace {
		t.Errorf("on a full disk: %v", err)
	}
	limit(1 << 30)
	if raised := must(f.Accept(t.Context(), d)); len(raised) != 1 {
		t.Errorf("once there is space, the delivery raised %d environments, want 1", len(raised))
	}
}

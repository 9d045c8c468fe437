package world

import (
	"database/sql"
	"errors"
	"testing"

	"vitrine/deployments/sqlite"
)

// TestRecords asks a database that has Vitrine's schema and nothing in it yet.
func TestRecords(t *testing.T) {
	s := &Serve{data: t.TempDir()}
	store, err := sqlite.Open(t.Context(), s.data, sqlite.Options{Domain: Domain})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if name, err := s.instance(t.Context()); err != nil || name == "" || name != store.Instance() {
		t.Errorf("the instance is %q, %v; want %q", name, err, store.Instance())
	}
	if n, err := s.Number(t.Context(), `SELECT count(*) FROM deliveries WHERE guid LIKE ?`, "bench-%"); err != nil || n != 0 {
		t.Errorf("there are %d deliveries, %v", n, err)
	}
	if err := s.Idle(t.Context()); err != nil {
		t.Errorf("Idle: %v", err)
	}
	if r, err := s.Deployment(t.Context(), "3f2a91c"); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("Deployment returns %v, %v; want no rows", r, err)
	}
	if at, err := s.Backend(t.Context(), "shop-pr-1"); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("Backend returns %q, %v; want no rows", at, err)
	}
}

package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"vitrine/deployments"
)

// An instant is a column with a time: nanoseconds since 1970 UTC, 0 for the zero time.
type instant struct{ t *time.Time }

// at returns the value of a time for a statement.
func at(t time.Time) instant { return instant{&t} }

func (i instant) Value() (driver.Value, error) {
	if i.t.IsZero() {
		return int64(0), nil
	}
	return i.t.UnixNano(), nil
}

func (i instant) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T, want an integer", src)
	}
	*i.t = time.Time{}
	if n != 0 {
		*i.t = time.Unix(0, n).UTC()
	}
	return nil
}

// A document is a column with JSON text of what v points to.
type document struct{ v any }

func (d document) Value() (driver.Value, error) {
	text, err := json.Marshal(d.v)
	return string(text), err
}

func (d document) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("JSON is stored as %T, want text", src)
	}
	return json.Unmarshal([]byte(text), d.v)
}

// notes is a column with JSON text that the store does not look into, empty for none.
type notes struct{ text *json.RawMessage }

func (n notes) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("notes are stored as %T, want text", src)
	}
	*n.text = nil
	if text != "" {
		*n.text = json.RawMessage(text)
	}
	return nil
}

// A network is a column with a subnet's text, such as "10.213.0.32/27".
type network struct{ p *netip.Prefix }

func (n network) Value() (driver.Value, error) {
	text, err := n.p.MarshalText()
	return string(text), err
}

func (n network) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("a subnet is stored as %T, want text", src)
	}
	return n.p.UnmarshalText([]byte(text))
}

// A row can be scanned: *sql.Row and *sql.Rows.
type row interface{ Scan(dest ...any) error }

// one returns the only row of a query, or deployments.ErrNotFound.
func one[T any](ctx context.Context, t *tx, scan func(row) (T, error), query string, args ...any) (T, error) {
	v, err := scan(t.QueryRowContext(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		err = deployments.ErrNotFound
	}
	return v, err
}

// all returns every row of a query.
func all[T any](ctx context.Context, t *tx, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := t.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// value scans a single column.
func value[T any](r row) (v T, err error) {
	err = r.Scan(&v)
	return v, err
}

// exec runs a statement that changes the one row that it names, and returns deployments.ErrNotFound where there is none.
func (t *tx) exec(ctx context.Context, statement string, args ...any) error {
	n, err := t.change(ctx, statement, args...)
	if err == nil && n == 0 {
		return deployments.ErrNotFound
	}
	return err
}

// change runs a statement and returns how many rows it changed.
func (t *tx) change(ctx context.Context, statement string, args ...any) (int64, error) {
	result, err := t.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

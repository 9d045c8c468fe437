package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

// migrations holds the steps from an empty database to the present schema. They are applied in the order of their names; what is released is
// never edited again.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the database to the newest schema, each step in a transaction of its own. PRAGMA user_version counts the steps taken.
func migrate(ctx context.Context, db *sql.DB, file string) error {
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return fmt.Errorf("list migrations: %w", err)
	}
	var version int
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return fmt.Errorf("read the schema's version in %s: %w", file, err)
	}
	if version > len(steps) {
		return fmt.Errorf("database %s was written by a newer Vitrine (schema %d, this one knows %d); run that version, or restore a backup",
			file, version, len(steps))
	}
	for i, name := range steps[version:] {
		if err := step(ctx, db, name, version+i+1); err != nil {
			return fmt.Errorf("migrate %s with %s: %w", file, name, err)
		}
	}
	return nil
}

func step(ctx context.Context, db *sql.DB, name string, version int) error {
	text, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	t, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := t.ExecContext(ctx, fmt.Sprintf("%s;\nPRAGMA user_version = %d", text, version)); err != nil {
		return errors.Join(err, t.Rollback())
	}
	return t.Commit()
}

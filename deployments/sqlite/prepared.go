package sqlite

import (
	"context"
	"database/sql"
)

// statements run within a transaction: a *sql.Tx, or what within returns.
type statements interface {
	ExecContext(ctx context.Context, statement string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// prepared keeps the compiled form of the statements that run on a database with one connection; to compile one takes longer than to run it. Their
// texts are constants, so they are few. It is not safe to use side by side.
type prepared struct {
	db     *sql.DB
	known  map[string]*sql.Stmt
	missed map[string]bool // texts that ran without a compiled form, as the one connection was taken by the transaction
}

func newPrepared(db *sql.DB) *prepared {
	return &prepared{db: db, known: make(map[string]*sql.Stmt), missed: make(map[string]bool)}
}

// learn compiles what was missed. Call it while no transaction is under way.
func (p *prepared) learn() {
	for text := range p.missed {
		// What does not compile has said so when it was run.
		if s, err := p.db.PrepareContext(context.Background(), text); err == nil {
			p.known[text] = s
		}
	}
	clear(p.missed)
}

// within returns the statements of a transaction that several updates share. No context ends one of them: with it SQLite would roll back the whole
// transaction (sqlite.org/c3ref/interrupt.html).
func (p *prepared) within(t *sql.Tx) statements { return shared{p, t} }

type shared struct {
	*prepared
	tx *sql.Tx
}

// ExecContext implements statements.
func (s shared) ExecContext(ctx context.Context, statement string, args ...any) (sql.Result, error) {
	ctx = context.WithoutCancel(ctx)
	if known := s.compiled(ctx, statement); known != nil {
		return known.ExecContext(ctx, args...)
	}
	return s.tx.ExecContext(ctx, statement, args...)
}

// QueryContext implements statements.
func (s shared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx = context.WithoutCancel(ctx)
	if known := s.compiled(ctx, query); known != nil {
		return known.QueryContext(ctx, args...)
	}
	return s.tx.QueryContext(ctx, query, args...)
}

// QueryRowContext implements statements.
func (s shared) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx = context.WithoutCancel(ctx)
	if known := s.compiled(ctx, query); known != nil {
		return known.QueryRowContext(ctx, args...)
	}
	return s.tx.QueryRowContext(ctx, query, args...)
}

// compiled returns the statement for the transaction, nil where it was never run before.
func (s shared) compiled(ctx context.Context, text string) *sql.Stmt {
	if known := s.known[text]; known != nil {
		return s.tx.StmtContext(ctx, known)
	}
	s.missed[text] = true
	return nil
}

package sqlite

import (
	"context"
	"fmt"
	"strings"

	"vitrine/deployments"
)

// renames are what is kept of a repository by its name: ?1 is the name that it had, ?2 the one that it has. Keys of origins have the name at their beginning.
var renames = []string{
	`UPDATE slugs SET owner = ?2 WHERE lower(owner) = lower(?1)`,
	`UPDATE hosts SET owner = ?2 || substr(owner, length(?1) + 1) WHERE ` + belongs("owner"),
	`UPDATE hosts SET repo = ?2 WHERE lower(repo) = lower(?1)`,
	`UPDATE environments SET repo = ?2, origin = ?2 || substr(origin, length(?1) + 1), sources = ` + inSources + `, change = change + 1
		WHERE lower(repo) = lower(?1)`,
	`UPDATE deployments SET source = json_set(source, '$.repo', ?2) WHERE lower(json_extract(source, '$.repo')) = lower(?1)`,
	`UPDATE events SET origin = ?2 || substr(origin, length(?1) + 1) WHERE ` + belongs("origin"),
	`UPDATE requests SET origin_key = ?2 || substr(origin_key, length(?1) + 1), origin = json_set(origin, '$.repo', ?2) WHERE ` + belongs("origin_key"),
}

// inSources is an environment's sources with the new name.
const inSources = `(SELECT coalesce(json_group_array(json(CASE lower(json_extract(s.value, '$.repo')) WHEN lower(?1)
	THEN json_set(s.value, '$.repo', ?2) ELSE s.value END)), 'null') FROM json_each(environments.sources) s WHERE s.type = 'object')`

// belongs is the condition that a key is one of the repository ?1: "acme/shop#42" or "acme/shop@main".
func belongs(column string) string {
	return `lower(substr(` + column + `, 1, length(?1))) = lower(?1) AND substr(` + column + `, length(?1) + 1, 1) IN ('#', '@')`
}

// rename gives everything of a repository to its new name. Its previews keep their hosts. Where nothing is kept of it, there is nothing to do.
func (t *tx) rename(ctx context.Context, r deployments.Rename) error {
	known, err := t.knows(ctx, r.From)
	if err != nil || !known {
		return err
	}
	if !strings.EqualFold(r.From, r.To) {
		if err := t.giveWay(ctx, r.To); err != nil {
			return err
		}
	}
	return t.renameAll(ctx, r.From, r.To)
}

// knows reports whether anything is kept of a repository.
func (t *tx) knows(ctx context.Context, repo string) (bool, error) {
	return one(ctx, t, value[bool], `SELECT EXISTS (SELECT 1 FROM slugs WHERE lower(owner) = lower(?1)) OR EXISTS (SELECT 1 FROM variables WHERE repo = ?1)
		OR EXISTS (SELECT 1 FROM events WHERE `+belongs("origin")+`)`, repo)
}

func (t *tx) renameAll(ctx context.Context, from, to string) error {
	for _, statement := range renames {
		if _, err := t.change(ctx, statement, from, to); err != nil {
			return err
		}
	}
	return t.renameVariables(ctx, from, to)
}

// renameVariables encrypts a repository's Variables anew: each is bound to its place.
func (t *tx) renameVariables(ctx context.Context, from, to string) error {
	values := make(map[string]string)
	if err := t.opened(ctx, values, func(name string) string { return variableName(from, name) },
		`SELECT name, value FROM variables WHERE repo = ?`, from); err != nil {
		return err
	}
	for name, v := range values {
		sealed := t.seal.close([]byte(v), variableName(to, name))
		if err := t.exec(ctx, `UPDATE variables SET repo = ?, value = ? WHERE repo = ? AND name = ?`, to, sealed, from, name); err != nil {
			return err
		}
	}
	return nil
}

// giveWay takes a repository's name from what is kept of one that had it before: its previews go, and its Variables are nobody's.
func (t *tx) giveWay(ctx context.Context, repo string) error {
	known, err := t.knows(ctx, repo)
	if err != nil || !known {
		return err
	}
	const of = `SELECT ` + environmentColumns + ` FROM environments WHERE lower(repo) = lower(?) ORDER BY id`
	environments, err := all(ctx, t, scanEnvironment, of, repo)
	if err != nil {
		return err
	}
	for _, e := range environments {
		var raised raise
		// By hand, as no forge knows the name that it gets.
		w := deployments.Want{Origin: e.Origin, Intent: deployments.Gone, By: deployments.ByHand, Cause: "another repository has its name now"}
		if err := t.apply(ctx, w, &raised); err != nil {
			return err
		}
	}
	for i := 1; ; i++ {
		former := fmt.Sprintf("%s~%d", repo, i) // no repository can be called that
		if known, err := t.knows(ctx, former); err != nil || !known {
			if err != nil {
				return err
			}
			return t.renameAll(ctx, repo, former)
		}
	}
}

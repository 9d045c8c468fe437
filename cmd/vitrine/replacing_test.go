package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
)

// Killed at any moment while a database is replaced in place, and started again, serve brings the right version with the data, in one set of containers.
func TestSoakKilledWhileReplacing(t *testing.T) {
	t.Parallel() // it waits for most of its time
	r := newRolling(t)
	r.start()
	engine := r.docker()
	_, err := r.openRolling()
	r.must(err)
	r.put("kept")
	moments := []struct {
		name string
		now  func(sha string) bool
	}{
		{"when it starts", func(sha string) bool { return r.phaseOf(sha) == "starting" }},
		{"when the old database was stopped", func(string) bool {
			return len(r.databases(engine, "exited")) == 1 && len(r.databases(engine, "running")) == 0
		}},
		{"when the new database runs", func(string) bool {
			return len(r.databases(engine, "exited")) == 1 && len(r.databases(engine, "running")) == 1
		}},
		{"when it is ready", func(sha string) bool { return r.phaseOf(sha) == "ready" }},
	}
	for i, moment := range moments {
		version := 2 + i
		before := r.databases(engine, "running")
		sha := r.pushDatabase(version)
		r.eventually(moment.name, func() bool { return moment.now(sha) })
		r.kill()
		r.start()
		r.eventually("the version is served with its data", func() bool { return r.page() == fmt.Sprintf("v%d v%[1]d kept", version) })
		r.settled()
		if after := r.databases(engine, "running"); len(after) != 1 || len(before) != 1 || after[0] == before[0] {
			t.Errorf("killed %s: the databases were %q and are %q, want another one", moment.name, before, after)
		}
		objects, err := r.left(t.Context())
		r.must(err)
		if n := len(containers(objects)); n != 3 {
			t.Errorf("killed %s: %d containers are left, want 3: %q", moment.name, n, objects)
		}
	}
	r.stop()
}

// pushDatabase pushes a version whose database has another environment than the one before, so that it is replaced, and returns the commit.
func (r *rolling) pushDatabase(version int) string {
	r.Helper()
	compose := strings.Replace(r.compose, "command: [/vitrine, db]", fmt.Sprintf("command: [/vitrine, db]\n    environment: {ROUND: v%d}", version), 1)
	sha, err := r.github.Commit(r.Context(), githubsim.Change{
		Repository: rollingRepository, Branch: "topic", Author: sample.Developer,
		Files: map[string]string{"version": fmt.Sprintf("v%d\n", version), "compose.yaml": compose},
	})
	r.must(err)
	return sha
}

// databases returns the IDs of the database's containers in a state.
func (r *rolling) databases(engine *client.Client, state string) (ids []string) {
	r.Helper()
	by := filters.NewArgs(filters.Arg("label", "vitrine.instance="+r.instance()), filters.Arg("label", "vitrine.service=db"), filters.Arg("status", state))
	found, err := engine.ContainerList(r.Context(), container.ListOptions{All: true, Filters: by})
	r.must(err)
	for _, c := range found {
		ids = append(ids, c.ID)
	}
	return ids
}

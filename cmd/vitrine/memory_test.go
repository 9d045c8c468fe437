package main

import (
	"slices"
	"strings"
	"testing"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
)

// A service that takes more memory than it may again and again is told of in the history and in the comment, with its limit.
func TestSoakOutOfMemory(t *testing.T) {
	t.Parallel() // it waits for most of its time
	r := newRolling(t)
	limited := strings.Replace(r.compose, "command: [/rolling, web],", "command: [/rolling, web], mem_limit: 64m,", 1)
	r.start()
	number, err := r.openRolling()
	r.must(err)
	r.commitFiles(map[string]string{"compose.yaml": limited, "version": "v2\n"})
	r.eventually("the limited version is served", func() bool { return r.version() == "v2" })
	const told = "out of memory (limit 64 MiB)"
	r.eventually("the crash is told", func() bool {
		r.exhaust()
		return r.told("acme/rolling#1", "web is crashing: restarted 5 times within 10 minutes; the last time it was killed: "+told)
	})
	r.eventually("the comment tells of it", func() bool {
		comments, err := r.github.Comments(rollingRepository, number)
		r.must(err)
		return slices.ContainsFunc(comments, func(c githubsim.Comment) bool {
			return strings.Contains(c.Body, "### Preview: web is crashing") && strings.Contains(c.Body, told)
		})
	})
	if !r.told("acme/rolling#1", "web was killed: "+told) {
		t.Error("the first end is not told")
	}
}

// exhaust has the web take more memory than it may, where it runs.
func (r *rolling) exhaust() {
	response, err := r.client.Get(r.url("/exhaust"))
	if err == nil {
		response.Body.Close()
	}
}

// commitFiles pushes a change to the pull request.
func (r *rolling) commitFiles(files map[string]string) {
	r.Helper()
	_, err := r.github.Commit(r.Context(), githubsim.Change{Repository: rollingRepository, Branch: "topic", Author: sample.Developer, Files: files})
	r.must(err)
}

package bot

import (
	"slices"
	"strings"
	"testing"

	"vitrine/deployments"
)

// Several commands of one comment are carried out in their order, each on what the one before has left.
func TestCommandsInOrder(t *testing.T) {
	h := newHouse(t)
	o, sha := h.opened("a")
	h.is(o, "live at "+sha)
	env := func() deployments.Environment {
		e, err := h.store.EnvironmentOf(t.Context(), o.Key())
		h.must(err)
		return e
	}
	says := func(body string) {
		t.Helper()
		_, err := h.Comment("acme/shop", o.PullRequest, "ben", body)
		h.must(err)
		h.idle()
	}
	says("/destroy")
	h.is(o, "gone: /destroy by ben")
	says("/extend 3d\n/deploy\n/extend 40m\n/pin\n/status")
	h.is(o, "live at "+sha)
	if e := env(); !e.Pinned {
		t.Error("it is not pinned")
	}
	said := strings.Join(h.said(o.PullRequest), "\n")
	for _, want := range []string{"There is no preview here that `/extend` could be about.", "`40m` is no duration.", "It is pinned, and does not expire."} {
		if !strings.Contains(said, want) {
			t.Errorf("nobody said %q: %s", want, said)
		}
	}
	says("/unpin\n/destroy\n/deploy fresh")
	h.is(o, "live at "+sha)
	if e := env(); e.Pinned || !slices.Contains(h.engine.fresh, true) {
		t.Errorf("pinned %t, built fresh %v", e.Pinned, h.engine.fresh)
	}
	before := env().Expires
	says("text\n/extend 1d\n\n> /destroy\n")
	if e := env(); e.Intent != deployments.Up || e.Expires.Before(before) {
		t.Errorf("%s until %s, was %s", e.Intent, e.Expires, before)
	}
	says("/deploy\n/destroy")
	h.is(o, "gone: /destroy by ben")
	for _, want := range []string{"/deploy by ben", "/destroy by ben", "pinned by ben", "unpinned by ben", "extended by 1 day (ben)"} {
		if !h.told(o, want) {
			t.Errorf("the history lacks %q: %q", want, h.history(o))
		}
	}
}

// Nobody who may not write cancels or starts anything.
func TestCommandsOfReaders(t *testing.T) {
	h := newHouse(t)
	o, sha := h.opened("a")
	h.is(o, "live at "+sha)
	before, err := h.store.EnvironmentOf(t.Context(), o.Key())
	h.must(err)
	for _, login := range []string{"carl", "mallory"} {
		_, err := h.Comment("acme/shop", o.PullRequest, login, "/deploy\n/deploy "+sha+"\n/reset\n/destroy\n/pin\n/unpin\n/extend 3d\n/logs")
		h.must(err)
	}
	h.idle()
	after, err := h.store.EnvironmentOf(t.Context(), o.Key())
	h.must(err)
	if after.Generation != before.Generation || !after.Expires.Equal(before.Expires) || after.Pinned {
		t.Errorf("the environment is %+v, was %+v", after, before)
	}
	refused := 0
	for _, text := range h.history(o) {
		if strings.HasPrefix(text, "refused /") {
			refused++
		}
	}
	if refused != 16 {
		t.Errorf("%d commands were refused: %q", refused, h.history(o))
	}
}

// A preview that nobody deployed for want of GitHub's word on the rules goes on once that is there.
func TestRulesWaitForGitHub(t *testing.T) {
	h := newHouse(t)
	h.refuse("/contents/", 503, nil)
	o, sha := h.opened("a")
	h.eventually("it waits", func() bool { return h.told(o, "waits for GitHub") })
	h.Intercept(nil)
	h.eventually("it goes on", func() bool { return h.state(o) == "live at "+sha })
	h.idle()
	if len(h.engine.built()) != 1 {
		t.Errorf("built %v", h.engine.built())
	}
}

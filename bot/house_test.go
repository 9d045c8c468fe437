package bot

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/bot/githubsim"
	"vitrine/bot/internal/show/showtest"
	"vitrine/deployments"
	"vitrine/deployments/sqlite"
)

// A house is a world with a real Store and a Controller, beside an engine that does not run anything.
type house struct {
	*world
	store      *sqlite.Store
	engine     *engine
	controller *deployments.Controller
}

// newHouse returns one that is at work until the test ends.
func newHouse(t *testing.T) *house {
	t.Helper()
	return newHouseWith(t, func(*deployments.Ports) {})
}

// newHouseWith returns one whose Controller has other ports.
func newHouseWith(t *testing.T, change func(*deployments.Ports)) *house {
	t.Helper()
	w := newWorld(t, nil)
	h := &house{world: w, store: openStore(t), engine: newEngine(w)}
	w.bot.config.States = h.store
	ports := deployments.Ports{
		Store: h.store, Forge: w.bot, Clerk: w.bot, Reporter: w.bot, Builder: h.engine, Stacks: h.engine, Runtime: h.engine, Routes: h.engine, Firewall: h.engine,
	}
	change(&ports)
	h.controller = deployments.NewController(deployments.Config{
		Domain: "preview.test", PreviewURL: showtest.PreviewURL, Subnets: netip.MustParsePrefix("10.213.0.0/16"), Builds: 2, LogDir: t.TempDir(),
		Now: time.Now, Log: w.bot.config.Log,
	}, ports)
	w.to = h.controller
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.controller.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return h
}

// eventually waits until the condition holds.
func (h *house) eventually(what string, holds func() bool) {
	h.t.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(2*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			h.t.Fatalf("never came: %s; %s", what, h.pending())
		}
	}
}

// pending says what is still to be done, "" for nothing.
func (h *house) pending() string {
	ctx, later := h.t.Context(), time.Now().Add(time.Hour)
	h.must(h.Settled(ctx))
	unsettled, err := h.store.Unsettled(ctx)
	requests, err2 := h.store.Requests(ctx, later, 100)
	reports, err3 := h.store.Reports(ctx, later, 100)
	h.must(errors.Join(err, err2, err3))
	if len(unsettled)+len(requests)+len(reports) == 0 {
		return ""
	}
	return fmt.Sprintf("unsettled %+v, requests %+v, reports %+v", unsettled, requests, reports)
}

// idle waits until nothing is to be done any more.
func (h *house) idle() {
	h.t.Helper()
	h.eventually("nothing is due", func() bool { return h.pending() == "" })
}

// state says in words what there is of an origin.
func (h *house) state(o deployments.Origin) string {
	h.t.Helper()
	e, err := h.store.EnvironmentOf(h.t.Context(), o.Key())
	if errors.Is(err, deployments.ErrNotFound) {
		return "nothing"
	}
	h.must(err)
	if e.Intent == deployments.Gone {
		return "gone: " + e.Cause
	}
	var parts []string
	if e.Live != 0 {
		d, err := h.store.Deployment(h.t.Context(), e.Live)
		h.must(err)
		parts = append(parts, "live at "+d.Source.SHA)
	}
	if e.Held != "" {
		parts = append(parts, "held "+e.Held)
	}
	return strings.Join(parts, ", ")
}

// is waits until an origin is in a state, and holds that it stays so when nothing is due any more and that the history has why it is gone.
func (h *house) is(o deployments.Origin, want string) {
	h.t.Helper()
	h.eventually(o.Key()+" "+want, func() bool { return h.state(o) == want || h.pending() == "" })
	h.idle()
	if got := h.state(o); got != want {
		h.t.Fatalf("%s is %q, want %q; the history is %q", o.Key(), got, want, h.history(o))
	}
	if cause, gone := strings.CutPrefix(want, "gone: "); gone && !slices.Contains(h.history(o), cause) {
		h.t.Errorf("the history of %s lacks %q: %q", o.Key(), cause, h.history(o))
	}
}

func (h *house) history(o deployments.Origin) (texts []string) {
	h.t.Helper()
	events, err := h.store.Events(h.t.Context(), o.Key())
	h.must(err)
	for _, e := range events {
		texts = append(texts, e.Text)
	}
	return texts
}

// told reports whether the history has a line with the part given.
func (h *house) told(o deployments.Origin, part string) bool {
	return slices.ContainsFunc(h.history(o), func(text string) bool { return strings.Contains(text, part) })
}

// commit pushes files to a branch in ana's name.
func (h *house) commit(branch string, files map[string]string) string {
	h.t.Helper()
	return h.commitSaying(branch, "", files)
}

func (h *house) commitSaying(branch, message string, files map[string]string) string {
	h.t.Helper()
	sha, err := h.Commit(h.t.Context(), githubsim.Change{Repository: "acme/shop", Branch: branch, Author: "ana", Message: message, Files: files})
	h.must(err)
	return sha
}

// propose opens a pull request of a branch in ana's name.
func (h *house) propose(p githubsim.PullRequest) deployments.Origin {
	h.t.Helper()
	p.Repository = "acme/shop"
	if p.Author == "" {
		p.Author = "ana"
	}
	if p.Title == "" {
		p.Title = "x"
	}
	number, err := h.OpenPullRequest(h.t.Context(), p)
	h.must(err)
	return origin(number)
}

// opened pushes a file to a new branch and opens a pull request of it.
func (h *house) opened(branch string) (deployments.Origin, string) {
	h.t.Helper()
	sha := h.commit(branch, map[string]string{"src/x": branch})
	return h.propose(githubsim.PullRequest{Head: branch}), sha
}

// configured writes .vitrine.yml to main.
func (h *house) configured(text string) { h.commit("main", map[string]string{".vitrine.yml": text}) }

// unheard has something happen at GitHub that no webhook tells of.
func (h *house) unheard(happens func()) {
	h.t.Helper()
	h.must(h.Settled(h.t.Context()))
	h.SetWebhookURL("")
	happens()
	h.SetWebhookURL(h.hook)
}

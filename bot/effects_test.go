package bot

import (
	"strings"
	"testing"

	"vitrine/bot/githubsim"
	"vitrine/deployments"
)

// Each row of the events' table: GitHub's own webhook, signed, through the endpoint, up to what is there in the end.
func TestEffects(t *testing.T) {
	const docs = "pull_requests: {paths: [\"src/**\"]}\n"
	for name, happens := range map[string]func(*house){
		"opened, pushed, closed, reopened": func(h *house) {
			o, first := h.opened("a")
			h.is(o, "live at "+first)
			second := h.commit("a", map[string]string{"src/x": "2"})
			h.is(o, "live at "+second)
			h.must(h.ClosePullRequest("acme/shop", 1, "ana"))
			h.is(o, "gone: pull request closed")
			h.must(h.ReopenPullRequest(h.t.Context(), "acme/shop", 1, "ana"))
			h.is(o, "live at "+second)
		},
		"a draft, ready, a draft again": func(h *house) {
			h.commit("a", map[string]string{".vitrine.yml": "pull_requests: {drafts: false}\n"})
			sha := h.commit("a", map[string]string{"src/x": "a"})
			o := h.propose(githubsim.PullRequest{Head: "a", Draft: true})
			h.is(o, "gone: skipped: "+skipDraft)
			h.must(h.SetDraft("acme/shop", 1, false, "ana"))
			h.is(o, "live at "+sha)
			h.must(h.SetDraft("acme/shop", 1, true, "ana"))
			h.is(o, "gone: skipped: "+skipDraft)
		},
		"a draft where no rule is about it": func(h *house) {
			sha := h.commit("a", map[string]string{"src/x": "a"})
			o := h.propose(githubsim.PullRequest{Head: "a", Draft: true})
			h.is(o, "live at "+sha)
			h.must(h.SetDraft("acme/shop", 1, false, "ana"))
			h.is(o, "live at "+sha)
		},
		"labelled, labelled no more": func(h *house) {
			sha := h.commit("a", map[string]string{".vitrine.yml": "pull_requests: {label: Preview}\n"})
			o := h.propose(githubsim.PullRequest{Head: "a"})
			const missing = `gone: skipped: the label "Preview" is missing, which .vitrine.yml wants (pull_requests.label)`
			h.is(o, missing)
			h.must(h.AddLabel("acme/shop", 1, "bug", "ana"))
			h.is(o, missing)
			h.must(h.AddLabel("acme/shop", 1, "preview", "ana"))
			h.is(o, "live at "+sha)
			h.must(h.RemoveLabel("acme/shop", 1, "bug", "ana"))
			h.is(o, "live at "+sha)
			h.must(h.RemoveLabel("acme/shop", 1, "preview", "ana"))
			h.is(o, missing)
		},
		"another base": func(h *house) {
			h.commit("release", map[string]string{"src/y": "y"})
			h.configured(docs)
			h.must(h.Settled(h.t.Context()))
			_, err := h.Commit(h.t.Context(), githubsim.Change{Repository: "acme/shop", Branch: "a", Base: "release", Author: "ana", Files: map[string]string{".vitrine.yml": docs}})
			h.must(err)
			sha := h.commit("a", map[string]string{"docs/x": "x"})
			o := h.propose(githubsim.PullRequest{Head: "a", Base: "release"})
			h.is(o, "gone: skipped: only .vitrine.yml and docs/** changed, and .vitrine.yml wants src/** (pull_requests.paths)")
			h.must(h.ChangeBase(h.t.Context(), "acme/shop", 1, "main", "ana"))
			h.is(o, "live at "+sha)
		},
		"the title says so, and says so no more": func(h *house) {
			o, sha := h.opened("a")
			h.is(o, "live at "+sha)
			h.must(h.Retitle("acme/shop", 1, "Later [Skip Preview]", "ana"))
			h.is(o, "gone: skipped: "+skipTitle)
			h.must(h.Retitle("acme/shop", 1, "Now", "ana"))
			h.is(o, "live at "+sha)
			h.must(h.Retitle("acme/shop", 1, "Now or never", "ana"))
			h.is(o, "live at "+sha)
		},
		"the head's message says so": func(h *house) {
			o, _ := h.opened("a")
			sha := h.commitSaying("a", "Later\n\n[skip preview]", map[string]string{"src/x": "2"})
			h.is(o, "gone: skipped: the message of "+sha[:7]+" says [skip preview]")
			sha = h.commit("a", map[string]string{"src/x": "3"})
			h.is(o, "live at "+sha)
		},
		"of a bot": func(h *house) {
			login, err := h.CreateBot("dependabot")
			h.must(err)
			h.commit("a", map[string]string{"src/x": "a"})
			o := h.propose(githubsim.PullRequest{Head: "a", Author: login})
			h.is(o, "gone: skipped: "+skipBot)
			sha := h.commit("a", map[string]string{".vitrine.yml": "pull_requests: {bots: true}\n"})
			h.is(o, "live at "+sha)
		},
		"only docs/** changed": func(h *house) {
			h.configured(docs)
			h.commit("a", map[string]string{"docs/a/x.md": "x"})
			o := h.propose(githubsim.PullRequest{Head: "a"})
			h.is(o, "gone: skipped: only docs/** changed, and .vitrine.yml wants src/** (pull_requests.paths)")
			if len(h.engine.built()) != 0 {
				h.t.Error("it was built")
			}
			sha := h.commit("a", map[string]string{"src/x": "x"})
			h.is(o, "live at "+sha)
			h.commit("b", map[string]string{"README.md": "x"})
			o = h.propose(githubsim.PullRequest{Head: "b"})
			h.is(o, "gone: skipped: only README.md changed, and .vitrine.yml wants src/** (pull_requests.paths)")
		},
		"a configuration that cannot be read is no rule": func(h *house) {
			sha := h.commit("a", map[string]string{".vitrine.yml": "pull_requests: {label: preview, drafts: maybe}\n"})
			h.is(h.propose(githubsim.PullRequest{Head: "a"}), "live at "+sha)
		},
		"nothing to deploy": func(h *house) {
			h.must(h.CreateRepository(h.t.Context(), "acme/notes", true, map[string]string{"README.md": "x"}))
			_, err := h.Commit(h.t.Context(), githubsim.Change{Repository: "acme/notes", Branch: "a", Files: map[string]string{"README.md": "y"}})
			h.must(err)
			_, err = h.OpenPullRequest(h.t.Context(), githubsim.PullRequest{Repository: "acme/notes", Head: "a", Title: "[skip preview]", Author: "acme"})
			h.must(err)
			o := deployments.Origin{Repo: "acme/notes", PullRequest: 1}
			h.is(o, "gone: skipped: "+deployments.SkipNothing)
			h.must(h.AddLabel("acme/notes", 1, "x", "acme"))
			h.idle()
			comments, err := h.Comments("acme/notes", 1)
			h.must(err)
			if runs := h.CheckRuns("acme/notes", h.Branch("acme/notes", "a")); len(comments)+len(runs) != 0 {
				h.t.Errorf("people are told %+v, %+v", comments, runs)
			}
		},
		"a tracked branch": func(h *house) {
			h.configured("branches: [\"release/*\"]\n")
			o := deployments.Origin{Repo: "acme/shop", Branch: "release/1"}
			sha := h.commit("release/1", map[string]string{"x": "1"})
			h.is(o, "live at "+sha)
			sha = h.commit("release/1", map[string]string{"x": "2"})
			h.is(o, "live at "+sha)
			h.must(h.DeleteBranch(h.t.Context(), "acme/shop", "release/1", "ana"))
			h.is(o, "gone: branch deleted")
			h.is(deployments.Origin{Repo: "acme/shop", Branch: "main"}, "nothing")
		},
		"a branch that is tracked no more": func(h *house) {
			h.configured("branches: [next]\n")
			o := deployments.Origin{Repo: "acme/shop", Branch: "next"}
			h.is(o, "nothing")
			sha := h.commit("next", map[string]string{"x": "1"})
			h.is(o, "live at "+sha)
			h.configured("branches: []\n")
			h.commit("next", map[string]string{"x": "2"})
			h.is(o, `gone: branch "next" is not tracked any more`)
		},
		"a repository archived and unarchived": func(h *house) {
			o, sha := h.opened("a")
			h.is(o, "live at "+sha)
			h.must(h.ArchiveRepository("acme/shop", "ana"))
			h.is(o, "gone: repository archived")
			h.must(h.UnarchiveRepository("acme/shop", "ana"))
			h.eventually("it is found again", func() bool { return h.state(o) == "live at "+sha })
		},
		"a repository deleted": func(h *house) {
			o, sha := h.opened("a")
			h.is(o, "live at "+sha)
			h.must(h.DeleteRepository("acme/shop", "ana"))
			h.is(o, "gone: repository deleted")
		},
		"a repository renamed": func(h *house) {
			o, sha := h.opened("a")
			h.is(o, "live at "+sha)
			h.must(h.RenameRepository("acme/shop", "store", "ana"))
			h.must(h.Settled(h.t.Context()))
			renamed := deployments.Origin{Repo: "acme/store", PullRequest: 1}
			h.is(o, "nothing")
			h.is(renamed, "live at "+sha)
			e, err := h.store.EnvironmentOf(h.t.Context(), renamed.Key())
			h.must(err)
			if e.Name != "shop-pr-1" {
				h.t.Errorf("its host is %s", e.Name)
			}
			sha, err = h.Commit(h.t.Context(), githubsim.Change{Repository: "acme/store", Branch: "a", Author: "ana", Files: map[string]string{"src/x": "2"}})
			h.must(err)
			h.is(renamed, "live at "+sha)
			h.must(h.ClosePullRequest("acme/store", 1, "ana"))
			h.is(renamed, "gone: pull request closed")
		},
		"a repository transferred to where it is not served": func(h *house) {
			o, sha := h.opened("a")
			h.is(o, "live at "+sha)
			h.must(h.Install("ben", "ben"))
			h.must(h.TransferRepository("acme/shop", "ben", "ana"))
			h.must(h.Settled(h.t.Context()))
			moved := deployments.Origin{Repo: "ben/shop", PullRequest: 1}
			h.is(o, "nothing")
			h.must(h.AddLabel("ben/shop", 1, "x", "ben"))
			h.must(h.controller.Accept(h.t.Context(), deployments.Delivery{Compare: true}))
			h.eventually("it is gone", func() bool { return h.state(moved) == "gone: "+causeUnserved })
		},
		"the App suspended and back": func(h *house) {
			o, sha := h.opened("a")
			h.is(o, "live at "+sha)
			h.must(h.Suspend("acme", "acme"))
			h.is(o, "gone: the App was suspended")
			h.must(h.Unsuspend("acme", "acme"))
			h.eventually("it is found again", func() bool { return h.state(o) == "live at "+sha })
		},
		"the App uninstalled and back": func(h *house) {
			o, sha := h.opened("a")
			h.is(o, "live at "+sha)
			h.must(h.Uninstall("acme", "acme"))
			h.is(o, "gone: the App was uninstalled")
			h.must(h.Install("acme", "acme"))
			h.eventually("it is found again", func() bool { return h.state(o) == "live at "+sha })
		},
		"a repository taken from the App and given back": func(h *house) {
			o, sha := h.opened("a")
			h.is(o, "live at "+sha)
			h.must(h.RemoveFromInstallation("acme/shop", "acme"))
			h.is(o, "gone: the App was taken away from the repository")
			h.must(h.AddToInstallation("acme/shop", "acme"))
			h.eventually("it is found again", func() bool { return h.state(o) == "live at "+sha })
		},
	} {
		t.Run(name, func(t *testing.T) { happens(newHouse(t)) })
	}
}

// What is skipped gets no comment. A rule that changes does not disturb what it lets through, and what a person has deployed against it.
func TestRulesLeaveAlone(t *testing.T) {
	h := newHouse(t)
	sha := h.commit("a", map[string]string{".vitrine.yml": "pull_requests: {label: preview}\n"})
	o := h.propose(githubsim.PullRequest{Head: "a"})
	h.is(o, "gone: skipped: "+`the label "preview" is missing, which .vitrine.yml wants (pull_requests.label)`)
	if said := h.said(1); len(said) != 0 {
		t.Errorf("said %q", said)
	}
	_, err := h.Comment("acme/shop", 1, "ben", "/deploy")
	h.must(err)
	h.is(o, "live at "+sha)
	generation := func() int64 {
		e, err := h.store.EnvironmentOf(t.Context(), o.Key())
		h.must(err)
		return e.Generation
	}
	before := generation()
	h.must(h.AddLabel("acme/shop", 1, "bug", "ana"))
	h.must(h.RemoveLabel("acme/shop", 1, "bug", "ana"))
	h.must(h.SetDraft("acme/shop", 1, true, "ana"))
	h.idle()
	if got := generation(); got != before {
		t.Errorf("generation %d, was %d: %q", got, before, h.history(o))
	}
	h.is(o, "live at "+sha)
	h.commit("a", map[string]string{"x": "2"})
	h.is(o, "gone: skipped: "+`the label "preview" is missing, which .vitrine.yml wants (pull_requests.label)`)
	if said := h.said(1); len(said) != 1 || !strings.Contains(said[0], "removed") {
		t.Errorf("said %q", said)
	}
}

// An answer about a commit is asked for once, and files only where a rule is about them.
func TestRulesAskForWhatTheyNeed(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	for range 3 {
		w.head(origin(number))
	}
	for part, want := range map[string]int{"/contents/.vitrine.yml": 1, "/commits/": 1, "/files": 0, "/app": 1, "/collaborators/": 0} {
		if n := w.requests.count("GET", "/acme/shop"+part); part != "/app" && n != want {
			t.Errorf("asked %d times for %s", n, part)
		}
	}
	if n := w.requests.count("GET", "/contents/"); n != 1 {
		t.Errorf("asked %d times for contents; the root is not needed", n)
	}
	number, _ = w.open("b", "x [skip preview]")
	for range 3 {
		w.head(origin(number))
	}
	if n := w.requests.count("GET", "/contents/"); n != 2 {
		t.Errorf("asked %d times for contents, want one more for the root", n)
	}
}

// The list of files has pages, and an end: what GitHub leaves out may be what counts. A file counts under the name that it had, too.
func TestPathsRule(t *testing.T) {
	w := newWorld(t, nil)
	commit := func(branch string, files map[string]string) {
		t.Helper()
		_, err := w.Commit(t.Context(), githubsim.Change{Repository: "acme/shop", Branch: branch, Author: "ana", Files: files})
		w.must(err)
	}
	commit("main", map[string]string{".vitrine.yml": "pull_requests: {paths: [\"src/**\", \"!**/*.md\"]}\n", "src/moved": strings.Repeat("moved\n", 20)})
	propose := func(branch string) deployments.Origin {
		t.Helper()
		number, err := w.OpenPullRequest(t.Context(), githubsim.PullRequest{Repository: "acme/shop", Head: branch, Title: "x", Author: "ana"})
		w.must(err)
		w.deliveries()
		return origin(number)
	}
	skip := func(o deployments.Origin, want string) {
		t.Helper()
		if h := w.head(o); h.Skip != want || h.Binding {
			t.Errorf("%s: %+v, want %q", o.Key(), h, want)
		}
	}
	w.smallPages()
	commit("a", map[string]string{"a/x": "", "b/x": "", "c/x": "", "d": "", "src/README.md": ""})
	a := propose("a")
	const others = "only a/**, b/**, c/** and 2 more changed, and .vitrine.yml wants src/** and !**/*.md (pull_requests.paths)"
	skip(a, others)
	commit("a", map[string]string{"src/x": ""})
	skip(a, "")
	commit("b", map[string]string{"a/x": ""})
	b := propose("b")
	w.rewrite("/files", `"filename":"a/x"`, `"previous_filename":"src/moved","filename":"a/x"`)
	skip(b, "")
	w.rewrite("/pulls/2", `"changed_files":1`, `"changed_files":3001`)
	skip(b, "")
	before := w.requests.count("GET", "/files")
	skip(b, "")
	if n := w.requests.count("GET", "/files"); n != before {
		t.Error("the files are listed though the list is cut")
	}
}

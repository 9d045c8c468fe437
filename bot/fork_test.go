package bot

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"vitrine/bot/githubsim"
	"vitrine/deployments"
)

// fromFork opens a pull request of mallory's from a fork.
func (w *world) fromFork() (o deployments.Origin, sha string) {
	w.t.Helper()
	_, err := w.Fork(w.t.Context(), "acme/shop", "mallory")
	w.must(err)
	sha = w.pushFork("1")
	number, err := w.OpenPullRequest(w.t.Context(), githubsim.PullRequest{Repository: "acme/shop", Head: "mallory:b", Title: "From afar", Author: "mallory"})
	w.must(err)
	return origin(number), sha
}

// pushFork pushes to the fork's branch.
func (w *world) pushFork(content string) (sha string) {
	w.t.Helper()
	sha, err := w.Commit(w.t.Context(), githubsim.Change{Repository: "mallory/shop", Branch: "b", Author: "mallory", Files: map[string]string{"src/x": content}})
	w.must(err)
	return sha
}

// What a /deploy approves: the head that was known when it was written, while it still is the head, or the one that it names.
func TestApproval(t *testing.T) {
	w := newWorld(t, nil)
	o, sha := w.fromFork()
	w.deliveries()
	head := deployments.Source{Repo: "acme/shop", Branch: "b", SHA: sha, Fork: true}
	old := strings.Repeat("e", 40)
	written := time.Now().UTC().Truncate(time.Second)
	environment := func(seen string, at time.Time, approved string) deployments.Environment {
		return deployments.Environment{
			Origin: o, Generation: 1, Intent: deployments.Up, By: deployments.ByEvent, Seen: seen, SeenAt: at, Approved: approved, Sources: []deployments.Source{{SHA: seen, Fork: true}},
		}
	}
	approves := deployments.Want{
		Origin: o, Source: head, Title: "From afar", Intent: deployments.Up, By: deployments.ByHand, Cause: "/deploy by ben, who approves " + sha[:7], Force: true, Approve: sha,
	}
	again := approves
	again.Cause, again.Approve = "/deploy by ben", ""
	records := deployments.Want{Origin: o, Source: head, Title: "From afar", Intent: deployments.Up, By: deployments.ByEvent, Cause: "found at " + sha[:7]}
	const look = " Look at it, and write `/deploy` again, or `/deploy "
	for name, test := range map[string]struct {
		environment deployments.Environment
		argument    string
		want        deployments.Want
		refused     string // the reply's beginning
	}{
		"known before":                  {environment(sha, written.Add(-time.Hour), ""), "", approves, ""},
		"known in that moment":          {environment(sha, written, ""), "", approves, ""},
		"known a moment later":          {environment(sha, written.Add(time.Nanosecond), ""), "", records, "The head is `" + sha[:7] + "` now, which came after you wrote."},
		"written before the push came":  {environment(old, written.Add(-time.Hour), ""), "", records, "The head is `" + sha[:7] + "` now, which was not known here when you wrote."},
		"an older one was approved":     {environment(old, written.Add(-time.Hour), old), "", records, "The head is `" + sha[:7] + "` now, which was not known here when you wrote."},
		"nothing was heard of it":       {deployments.Environment{}, "", records, "The head is `" + sha[:7] + "` now, which was not known here when you wrote."},
		"approved already":              {environment(sha, written.Add(time.Hour), sha), "", again, ""},
		"named":                         {environment(old, written.Add(-time.Hour), ""), sha[:7], approves, ""},
		"named whole, before it came":   {environment(sha, written.Add(time.Hour), ""), strings.ToUpper(sha), approves, ""},
		"named, and nothing was heard":  {deployments.Environment{}, sha[:12], approves, ""},
		"another is named":              {environment(sha, written.Add(-time.Hour), ""), old[:7], records, "`eeeeeee` is not the head; that is `" + sha[:7] + "` now."},
		"another is named and approved": {environment(sha, written.Add(-time.Hour), old), old, records, "`eeeeeee` is not the head; that is `" + sha[:7] + "` now."},
		"fresh":                         {environment(sha, written.Add(-time.Hour), ""), "fresh", fresh(approves), ""},
	} {
		t.Run(name, func(t *testing.T) {
			delete(w.states, o.Key())
			if test.environment.Generation > 0 {
				w.states[o.Key()] = test.environment
			}
			requests := w.commanded(o.PullRequest, "ben", strings.TrimSpace("/deploy "+test.argument))
			q, err := questionOf(requests[0])
			w.must(err)
			q.Comment.At = written
			var d deployments.Delivery
			w.must(ask(&d, o, q))
			r, err := w.bot.Resolve(t.Context(), d.Requests[0])
			w.must(err)
			if diff := cmp.Diff([]deployments.Want{test.want}, r.Wants); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			switch {
			case test.refused == "" && (r.State != deployments.RequestTaken || r.Reply != ""):
				t.Errorf("%s: %q", r.State, r.Reply)
			case test.refused != "" && (r.State != deployments.RequestRefused || r.Reply != test.refused+look+sha[:7]+"`."):
				t.Errorf("%s: %q", r.State, r.Reply)
			case test.refused != "" && !strings.HasPrefix(r.Event, "refused /deploy of ben: "):
				t.Errorf("event %q", r.Event)
			}
		})
	}
}

func fresh(w deployments.Want) deployments.Want {
	w.Fresh = true
	return w
}

// A comment whose time is not known approves nothing but what it names.
func TestApprovalWithoutATime(t *testing.T) {
	w := newWorld(t, nil)
	o, sha := w.fromFork()
	w.deliveries()
	w.states[o.Key()] = deployments.Environment{Origin: o, Generation: 1, Intent: deployments.Up, Seen: sha, SeenAt: time.Now().Add(-time.Hour)}
	for verbArgument, want := range map[string]string{"": "", sha: sha} {
		var d deployments.Delivery
		w.must(ask(&d, o, question{Comment: &comment{ID: 7, User: "ben", Command: command{deploy, verbArgument}}}))
		r, err := w.bot.Resolve(t.Context(), d.Requests[0])
		w.must(err)
		if len(r.Wants) != 1 || r.Wants[0].Approve != want {
			t.Errorf("/deploy %s: %+v", verbArgument, r)
		}
	}
}

// From the opening on: nothing runs before somebody who may write approved that very commit, and what was approved is served until the next one is.
func TestForksStory(t *testing.T) {
	h := newHouse(t)
	o, first := h.fromFork()
	h.is(o, "held "+first)
	says := func(login, body string) {
		t.Helper()
		h.skew.Add(int64(2 * time.Second)) // GitHub tells seconds, and people need some to look at a commit
		_, err := h.Comment("acme/shop", o.PullRequest, login, body)
		h.must(err)
		h.idle()
	}
	says("carl", "/deploy")
	says("mallory", "/deploy "+first)
	h.is(o, "held "+first)
	if !h.told(o, "refused /deploy of carl: /deploy needs write access") || !h.told(o, "refused /deploy of mallory") || len(h.engine.built()) != 0 {
		t.Errorf("built %v; the history is %q", h.engine.built(), h.history(o))
	}
	says("ben", "/deploy")
	h.is(o, "live at "+first)

	second := h.pushFork("2")
	h.is(o, "live at "+first+", held "+second)
	says("ben", "/reset")
	h.is(o, "live at "+first+", held "+second)

	// A push that no webhook has told of yet is not what the comment is about.
	var third string
	h.unheard(func() { third = h.pushFork("3") })
	says("ben", "/deploy")
	h.is(o, "live at "+first+", held "+third)
	if last := h.said(o.PullRequest); !strings.Contains(strings.Join(last, "\n"), "The head is `"+third[:7]+"` now, which was not known here when you wrote.") {
		t.Errorf("said %q", last)
	}
	// Nor is one that came after it was written, though its webhook was faster.
	h.skew.Add(int64(-time.Minute))
	fourth := h.pushFork("4")
	h.is(o, "live at "+first+", held "+fourth)
	says("ben", "/deploy")
	h.is(o, "live at "+first+", held "+fourth)
	h.skew.Add(int64(time.Minute))
	says("ben", "/deploy\n/extend 3d\n/status")
	h.is(o, "live at "+fourth)
	if !h.told(o, "/deploy by ben, who approves "+fourth[:7]) || !h.told(o, "extended by 3 days (ben)") {
		t.Errorf("the history is %q", h.history(o))
	}
	for _, sha := range h.engine.built() {
		if sha != first && sha != fourth {
			t.Errorf("%s was built", sha)
		}
	}
	// Closed and opened again, the same commit needs no new approval.
	h.must(h.ClosePullRequest("acme/shop", o.PullRequest, "ana"))
	h.is(o, "gone: pull request closed")
	h.must(h.ReopenPullRequest(t.Context(), "acme/shop", o.PullRequest, "ana"))
	h.is(o, "live at "+fourth)
	// The fork is deleted; its commit is still in the pull request.
	h.must(h.DeleteRepository("mallory/shop", "mallory"))
	says("ben", "/deploy")
	h.is(o, "live at "+fourth)
}

// The base branch decides on forks, whatever the fork's own configuration says.
func TestForkRules(t *testing.T) {
	for name, test := range map[string]struct {
		base, fork string
		title      string
		want       string // of the environment, with the head's place taken by %
		refused    string // what /deploy is refused with; "" where it deploys
	}{
		"never":                      {base: "pull_requests: {forks: never}\n", want: "gone: skipped: " + skipForks, refused: "says `forks: never`"},
		"never, says the fork alone": {fork: "pull_requests: {forks: never}\n", want: "held %"},
		"approve, says the fork":     {base: "pull_requests: {forks: never}\n", fork: "pull_requests: {forks: approve}\n", want: "gone: skipped: " + skipForks, refused: "forks: never"},
		"a label of the base":        {base: "pull_requests: {label: ok}\n", fork: "pull_requests: {label: \"\"}\n", want: `gone: skipped: the label "ok" is missing, which .vitrine.yml wants (pull_requests.label)`},
		"a label of the fork":        {fork: "pull_requests: {label: ok}\n", want: "held %"},
		"paths of the base":          {base: "pull_requests: {paths: [web/**]}\n", want: "gone: skipped: only src/** changed, and .vitrine.yml wants web/** (pull_requests.paths)"},
		"never, and by its title":    {base: "pull_requests: {forks: never}\n", title: "x [skip preview]", want: "gone: skipped: " + skipForks, refused: "forks: never"},
		"by its title":               {title: "x [skip preview]", want: "gone: skipped: " + skipTitle},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			if test.base != "" {
				h.configured(test.base)
			}
			_, err := h.Fork(t.Context(), "acme/shop", "mallory")
			h.must(err)
			files := map[string]string{"src/x": "x"}
			if test.fork != "" {
				files = map[string]string{".vitrine.yml": test.fork}
			}
			sha, err := h.Commit(t.Context(), githubsim.Change{Repository: "mallory/shop", Branch: "main", Author: "mallory", Files: files})
			h.must(err)
			title := test.title
			if title == "" {
				title = "x"
			}
			number, err := h.OpenPullRequest(t.Context(), githubsim.PullRequest{Repository: "acme/shop", Head: "mallory:main", Title: title, Author: "mallory"})
			h.must(err)
			o := origin(number)
			h.is(o, strings.ReplaceAll(test.want, "%", sha))
			h.skew.Add(int64(2 * time.Second))
			_, err = h.Comment("acme/shop", number, "ben", "/deploy")
			h.must(err)
			if test.refused == "" {
				h.is(o, "live at "+sha)
				return
			}
			h.is(o, strings.ReplaceAll(test.want, "%", sha))
			if said := strings.Join(h.said(number), "\n"); !strings.Contains(said, test.refused) || len(h.engine.built()) != 0 {
				t.Errorf("said %q, built %v", said, h.engine.built())
			}
		})
	}
}

// A fork without anything to deploy is told nothing, and /deploy there says what was looked for.
func TestForkOfNothing(t *testing.T) {
	h := newHouse(t)
	h.must(h.CreateRepository(t.Context(), "acme/notes", true, map[string]string{"README.md": "x"}))
	h.must(h.SetPermission("acme/notes", "ben", "write"))
	_, err := h.Fork(t.Context(), "acme/notes", "mallory")
	h.must(err)
	_, err = h.Commit(t.Context(), githubsim.Change{Repository: "mallory/notes", Branch: "b", Author: "mallory", Files: map[string]string{"x": "y"}})
	h.must(err)
	_, err = h.OpenPullRequest(t.Context(), githubsim.PullRequest{Repository: "acme/notes", Head: "mallory:b", Title: "x", Author: "mallory"})
	h.must(err)
	o := deployments.Origin{Repo: "acme/notes", PullRequest: 1}
	h.is(o, "gone: skipped: "+deployments.SkipNothing)
	_, err = h.Comment("acme/notes", 1, "ben", "/deploy")
	h.must(err)
	h.is(o, "gone: skipped: "+deployments.SkipNothing)
	comments, err := h.Comments("acme/notes", 1)
	h.must(err)
	if len(comments) != 2 || !strings.Contains(comments[1].Body, "There is nothing to deploy at `") || !strings.Contains(comments[1].Body, "`Dockerfile`") {
		t.Errorf("the comments are %+v", comments)
	}
}

// checked makes a check run of ours.
func (w *world) checked(o deployments.Origin, sha string) int64 {
	w.t.Helper()
	r, err := w.bot.repository(w.t.Context(), o.Repo)
	w.must(err)
	key := o.Key()
	run, _, err := r.gh.Checks.CreateCheckRun(w.t.Context(), r.owner, r.name, github.CreateCheckRunOptions{
		Name: "Preview", HeadSHA: sha, ExternalID: &key,
		Actions: []*github.CheckRunAction{{Label: "Deploy", Description: "Deploy this commit", Identifier: deployAction}},
	})
	w.must(err)
	return run.GetID()
}

// The check's buttons deploy the commit that the check is about, and approve it where it is a fork's.
func TestButtons(t *testing.T) {
	t.Run("of the repository's own", func(t *testing.T) {
		h := newHouse(t)
		o, sha := h.opened("a")
		h.is(o, "live at "+sha)
		check := h.checked(o, sha)
		h.must(h.RerequestCheckRun("acme/shop", check, "ben"))
		h.eventually("it is deployed again", func() bool { return len(h.engine.built()) == 2 })
		h.is(o, "live at "+sha)
		if !h.told(o, `"Re-run" on the check by ben`) {
			t.Errorf("the history is %q", h.history(o))
		}
		// Once there is another head, the old check's button is refused.
		next := h.commit("a", map[string]string{"src/x": "2"})
		h.is(o, "live at "+next)
		h.must(h.RerequestCheckRun("acme/shop", check, "ben"))
		h.eventually("it is refused", func() bool { return h.told(o, "refused") })
		h.is(o, "live at "+next)
		if want := `refused "Re-run" on the check of ben: ` + sha[:7] + " is not the head; that is " + next[:7] + " now."; !h.told(o, want) || len(h.engine.built()) != 3 {
			t.Errorf("built %v; the history is %q, want %q", h.engine.built(), h.history(o), want)
		}
	})
	t.Run("of a fork", func(t *testing.T) {
		h := newHouse(t)
		o, sha := h.fromFork()
		h.is(o, "held "+sha)
		check := h.checked(o, sha)
		h.must(h.RequestAction("acme/shop", check, deployAction, "ben"))
		h.is(o, "live at "+sha)
		if !h.told(o, `"Deploy" on the check by ben, who approves `+sha[:7]) {
			t.Errorf("the history is %q", h.history(o))
		}
		second := h.pushFork("2")
		h.is(o, "live at "+sha+", held "+second)
		h.must(h.RequestAction("acme/shop", check, deployAction, "ben"))
		h.eventually("it is refused", func() bool { return h.told(o, "refused") })
		h.is(o, "live at "+sha+", held "+second)
	})
	t.Run("by somebody who may not", func(t *testing.T) {
		h := newHouse(t)
		o, sha := h.fromFork()
		h.is(o, "held "+sha)
		check := h.checked(o, sha)
		h.must(h.Settled(t.Context()))
		// ben lost his access since he opened the page.
		h.refusePermission("ben", "read")
		h.must(h.RequestAction("acme/shop", check, deployAction, "ben"))
		h.eventually("it is refused", func() bool { return h.told(o, "refused") })
		h.is(o, "held "+sha)
		if !h.told(o, `refused "Deploy" on the check of ben: "Deploy" on the check needs write access to acme/shop, which ben does not have.`) {
			t.Errorf("the history is %q", h.history(o))
		}
		if said := h.said(o.PullRequest); strings.Contains(strings.Join(said, ""), "vitrine:reply:") {
			t.Errorf("nobody wrote a command, and it is answered %q", said)
		}
	})
	t.Run("of a tracked branch", func(t *testing.T) {
		h := newHouse(t)
		h.configured("branches: [next]\n")
		o := deployments.Origin{Repo: "acme/shop", Branch: "next"}
		sha := h.commit("next", map[string]string{"x": "1"})
		h.is(o, "live at "+sha)
		h.must(h.RerequestCheckRun("acme/shop", h.checked(o, sha), "ben"))
		h.eventually("it is deployed again", func() bool { return len(h.engine.built()) == 2 })
		h.is(o, "live at "+sha)
	})
	t.Run("against a rule", func(t *testing.T) {
		h := newHouse(t)
		sha := h.commit("a", map[string]string{"src/x": "a"})
		o := h.propose(githubsim.PullRequest{Head: "a", Title: "x [skip preview]"})
		h.is(o, "gone: skipped: "+skipTitle)
		h.must(h.RequestAction("acme/shop", h.checked(o, sha), deployAction, "ben"))
		h.is(o, "live at "+sha)
	})
}

// refusePermission has GitHub say that somebody may do no more than this.
func (w *world) refusePermission(login, permission string) {
	w.rewrite("/collaborators/"+login+"/permission", `"permission":"write"`, `"permission":"`+permission+`"`)
}

// Without a firewall no fork runs, and whoever approves one is told that it came to nothing.
func TestForkWithoutAFirewall(t *testing.T) {
	h := newHouseWith(t, func(p *deployments.Ports) { p.Firewall = nil })
	o, sha := h.fromFork()
	h.eventually("it is skipped", func() bool { return strings.HasPrefix(h.state(o), "gone: skipped: code from forks runs only behind") })
	h.skew.Add(int64(2 * time.Second))
	id, err := h.Comment("acme/shop", o.PullRequest, "ben", "/deploy "+sha)
	h.must(err)
	h.idle()
	for _, c := range h.comments(o.PullRequest) {
		if c.ID == id && !slices.ContainsFunc(c.Reactions, func(r githubsim.Reaction) bool { return r.Content == "confused" }) {
			t.Errorf("the answer is %+v", c.Reactions)
		}
	}
}

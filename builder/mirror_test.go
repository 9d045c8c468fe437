package builder

import (
	"net/http"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

// The pull request of a fork: its commits are in the base repository's reference for it, and nowhere else there.
const forksRef = "refs/pull/7/head"

var fromForksPull = deployments.Origin{Repo: "acme/shop", PullRequest: 7}

func forks(sha string) deployments.Source {
	return deployments.Source{Repo: "acme/shop", Branch: "main", SHA: sha, Fork: true}
}

// child puts a commit with the files on the reference, on top of the one that is there.
func (o *origin) child(ref string, files map[string]string) string {
	o.t.Helper()
	parent := o.git("rev-parse", ref)
	tree := o.git("rev-parse", o.commit(ref, files)+"^{tree}")
	sha := o.git("commit-tree", "-m", "child", "-p", parent, tree)
	o.git("update-ref", ref, sha)
	return sha
}

// checksOut fails the test unless the commit can be fetched, and has the file "a" with the text and no other.
func (b *Builder) checksOut(t *testing.T, r deployments.Remote, sha, text string) {
	t.Helper()
	c, err := b.Fetch(t.Context(), r, fromForksPull, forks(sha))
	check(t, err)
	if diff := cmp.Diff(map[string]string{"a": text}, files(t, c.Dir)); diff != "" {
		t.Error(diff)
	}
	check(t, c.Close())
}

// What was approved is a commit, not a reference: what the fork pushed meanwhile makes no difference, whichever of the two is here already.
func TestFetchOfAForksCommit(t *testing.T) {
	for name, version := range map[string]struct {
		protocol string // the header that is kept off the server, empty for none
		replaced bool   // the second commit does not have the first among its parents
	}{
		"on top":                 {},
		"replaced":               {replaced: true},
		"on top, old protocol":   {protocol: "Git-Protocol"},
		"replaced, old protocol": {protocol: "Git-Protocol", replaced: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			r := o.serve(func(r *http.Request) bool { r.Header.Del(version.protocol); return true })
			// GitHub gives what a reference reaches, and what one did.
			o.git("config", "uploadpack.allowAnySHA1InWant", "true")
			o.commit("refs/heads/main", map[string]string{"a": "the base's"})
			approved := o.commit(forksRef, map[string]string{"a": "approved"})
			early, late, both := newBuilder(t, Config{}), newBuilder(t, Config{}), newBuilder(t, Config{})
			early.checksOut(t, r, approved, "approved")
			both.checksOut(t, r, approved, "approved")
			var pushed string
			if version.replaced {
				pushed = o.commit(forksRef, map[string]string{"a": "pushed since"})
			} else {
				pushed = o.child(forksRef, map[string]string{"a": "pushed since"})
			}
			late.checksOut(t, r, approved, "approved")
			both.checksOut(t, r, pushed, "pushed since")
			both.checksOut(t, r, approved, "approved")
			late.checksOut(t, r, pushed, "pushed since")
			check(t, os.RemoveAll(o.dir))
			late.checksOut(t, r, approved, "approved")
			early.checksOut(t, r, approved, "approved")
		})
	}
}

// Where the approved commit cannot be had, what has taken its place in the pull request is not taken for it.
func TestFetchOfAForksCommitThatIsGone(t *testing.T) {
	for name, test := range map[string]struct {
		protocol string
		gone     func(o *origin, approved, pushed string)
	}{
		// Under the first version of git's protocol a server gives no commit that none of its references names.
		"not given": {"Git-Protocol", func(*origin, string, string) {}},
		"pruned":    {"", func(o *origin, _, _ string) { o.git("prune", "--expire=now") }},
		"a branch called like it": {"", func(o *origin, approved, pushed string) {
			o.git("update-ref", "refs/heads/"+approved, pushed)
			o.git("prune", "--expire=now")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o, b := newOrigin(t), newBuilder(t, Config{})
			r := o.serve(func(r *http.Request) bool { r.Header.Del(test.protocol); return true })
			approved := o.commit(forksRef, map[string]string{"a": "approved"})
			pushed := o.commit(forksRef, map[string]string{"a": "pushed since"})
			test.gone(o, approved, pushed)
			for range 2 { // with and without what was pushed since in the mirror
				_, err := b.Fetch(t.Context(), r, fromForksPull, forks(approved))
				fault(t, err, deployments.FaultFetch)
				b.checksOut(t, r, pushed, "pushed since")
			}
			left, err := os.ReadDir(b.config.CheckoutDir)
			check(t, err)
			if len(left) > 0 {
				t.Errorf("checkouts are left: %v", left)
			}
		})
	}
}

// A fork's reference can be had from the base repository alone: one without the fork in it has neither the reference nor the commit.
func TestFetchOfAForkAsksTheBase(t *testing.T) {
	base, fork := newOrigin(t), newOrigin(t)
	base.commit("refs/heads/main", map[string]string{"a": "the base's"})
	sha := fork.commit("refs/heads/main", map[string]string{"a": "approved"})
	b := newBuilder(t, Config{})
	_, err := b.Fetch(t.Context(), base.file(), fromForksPull, forks(sha))
	fault(t, err, deployments.FaultFetch)
	// GitHub brings it in when the pull request is opened.
	base.git("fetch", "--quiet", fork.dir, "refs/heads/main:"+forksRef)
	b.checksOut(t, base.file(), sha, "approved")
}

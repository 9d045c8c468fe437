package builder

import (
	"regexp"
	"strings"
	"testing"

	"vitrine/deployments"
)

// told matches what the steps of a build print.
var told = regexp.MustCompile(`(?m)^web \| (?:drew|holds) .*$`)

// made is an image, and what the steps that ran for it printed.
type made struct {
	deployments.Image
	told string
}

// make builds the Dockerfile.
func (w *workshop) make(dockerfile string, change func(*deployments.BuildRequest)) made {
	w.t.Helper()
	log := &buffer{}
	req := w.request(map[string]string{"Dockerfile": dockerfile}, web)
	req.Log = log
	if change != nil {
		change(&req)
	}
	images, err := w.Build(w.t.Context(), req)
	check(w.t, err)
	return made{images[0], strings.Join(told.FindAllString(log.String(), -1), "\n")}
}

func fresh(req *deployments.BuildRequest) { req.Fresh = true }

func fromFork(req *deployments.BuildRequest) { req.Environment, req.Source.Fork = "shop-pr-7", true }

func fromElsewhere(req *deployments.BuildRequest) {
	req.Environment, req.Source.Repo = "front-pr-1", "acme/front"
}

func TestFreshBuildUsesNoCache(t *testing.T) {
	w := newWorkshop(t)
	dockerfile := "FROM " + w.base + " AS one\nRUN [\"/tool\", \"random\", \"/drawn\"]\nFROM " + w.base + "\nCOPY --from=one /drawn /drawn\n"
	first := w.make(dockerfile, nil)
	if first.Cached || !strings.Contains(first.told, "drew") {
		t.Fatalf("got %+v", first)
	}
	if usual := w.make(dockerfile, nil); usual.ID != first.ID || !usual.Cached {
		t.Errorf("a usual build made %+v of %+v", usual, first)
	}
	anew := w.make(dockerfile, fresh)
	if anew.ID == first.ID || anew.Cached || anew.told == first.told || anew.told == "" {
		t.Errorf("a fresh build made %+v of %+v", anew, first)
	}
	if usual := w.make(dockerfile, nil); usual.ID != anew.ID || !usual.Cached {
		t.Errorf("after a fresh build that made %+v, a usual one made %+v", anew, usual)
	}
}

// note is a Dockerfile that tells what is in a cache mount, and adds to it.
func (w *workshop) note(text string) string {
	return "FROM " + w.base + "\nRUN --mount=type=cache,id=pantry,target=/cache [\"/tool\", \"note\", \"/cache/notes\", \"" + text + "\"]\n"
}

func TestFreshBuildBeginsNewCacheMounts(t *testing.T) {
	w := newWorkshop(t)
	for _, step := range []struct {
		text   string
		change func(*deployments.BuildRequest)
		want   string
	}{
		{"a", nil, `holds ""`},
		{"b", nil, `holds "a"`},
		{"c", fromFork, `holds ""`},
		{"d", fresh, `holds ""`},
		{"e", nil, `holds "d"`}, // never again what the fresh build was to get rid of
		{"f", fromFork, `holds "c"`},
	} {
		if got := w.make(w.note(step.text), step.change); got.told != "web | "+step.want {
			t.Errorf("%s: a build that should find %s said %q", step.text, step.want, got.told)
		}
	}
	// They are new for a later process too.
	config := w.config
	config.AllowFiles = false
	again, err := New(config)
	check(t, err)
	defer again.Close()
	w.Builder = again
	if got := w.make(w.note("g"), nil); got.told != `web | holds "de"` {
		t.Errorf("after a restart a build said %q", got.told)
	}
}

// What a trusted build leaves is nothing to a fork's, nor to one of another repository; and the other way round.
func TestTrustKeepsCacheMountsApart(t *testing.T) {
	w := newWorkshop(t)
	builds := map[string]func(*deployments.BuildRequest){"own": nil, "fork": fromFork, "elsewhere": fromElsewhere}
	for _, order := range [][]string{{"own", "fork", "elsewhere"}, {"fork", "elsewhere", "own"}} {
		shelf := strings.Join(order, "-")
		dockerfile := func(text string) string { return strings.Replace(w.note(text), "pantry", shelf, 1) }
		for _, whose := range order {
			if got := w.make(dockerfile("first"), builds[whose]); got.told != `web | holds ""` {
				t.Errorf("%v: the first build of %s said %q", order, whose, got.told)
			}
		}
		for _, whose := range order {
			if got := w.make(dockerfile(whose), builds[whose]); got.told != `web | holds "first"` {
				t.Errorf("%v: the second build of %s said %q", order, whose, got.told)
			}
		}
	}
}

// A mount's id cannot lead into another's namespace, nor can an argument name that.
func TestForkCannotNameTrustedCacheMounts(t *testing.T) {
	w := newWorkshop(t)
	w.make(w.note("own"), nil)
	own, err := w.cacheMounts(w.trustOf(w.request(nil).Source), false)
	check(t, err)
	for _, id := range []string{"../" + own + "/pantry", "/" + own + "/pantry", own + "/pantry", "/../../" + own + "/pantry"} {
		if got := w.make(strings.Replace(w.note("x"), "pantry", id, 1), fromFork); got.told != `web | holds ""` {
			t.Errorf("id=%s: a fork's build said %q", id, got.told)
		}
	}
	got := w.make("ARG BUILDKIT_CACHE_MOUNT_NS="+own+"\n"+w.note("x"), func(req *deployments.BuildRequest) {
		fromFork(req)
		req.Builds[0].Args = map[string]string{"BUILDKIT_CACHE_MOUNT_NS": own}
	})
	if got.told != `web | holds ""` {
		t.Errorf("with the namespace as an argument a fork's build said %q", got.told)
	}
}

func TestTrustKeepsStepsApart(t *testing.T) {
	w := newWorkshop(t)
	dockerfile := "FROM " + w.base + "\nRUN [\"/tool\", \"random\", \"/drawn\"]\n"
	inAnother := func(whose func(*deployments.BuildRequest)) func(*deployments.BuildRequest) {
		return func(req *deployments.BuildRequest) { whose(req); req.Environment += "0" }
	}
	own := func(*deployments.BuildRequest) {}
	seen := map[string]bool{}
	for _, whose := range []func(*deployments.BuildRequest){own, fromFork, fromElsewhere} {
		first := w.make(dockerfile, whose)
		if first.Cached || seen[first.told] {
			t.Errorf("a build made %+v of what another's left", first)
		}
		seen[first.told] = true
		if again := w.make(dockerfile, inAnother(whose)); again.ID != first.ID || !again.Cached {
			t.Errorf("another environment made %+v, not %+v from the cache", again, first)
		}
	}
}

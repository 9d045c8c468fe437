package builder

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

// opened is the same builder in a later process.
func (w *workshop) opened(change func(*Config)) *workshop {
	w.t.Helper()
	config := w.config
	change(&config)
	b, err := New(config)
	check(w.t, err)
	w.t.Cleanup(func() { check(w.t, b.Close()) })
	again := *w
	again.Builder = b
	return &again
}

// forgets makes the engine take another image for what came of the Dockerfile's steps, as if it had forgotten them and built them anew.
func (w *workshop) forgets(dockerfile string) {
	w.t.Helper()
	w.opened(func(c *Config) { c.DataDir, c.CheckoutDir = w.t.TempDir(), "" }).make(dockerfile, func(req *deployments.BuildRequest) {
		req.Environment, req.Fresh = "another", true
	})
}

func TestUnchangedServiceKeepsItsImage(t *testing.T) {
	shop := newWorkshop(t)
	for name, test := range map[string]struct {
		change func(w *workshop, first made) func(*deployments.BuildRequest)
		kept   bool
	}{
		"at another commit in another environment": {func(*workshop, made) func(*deployments.BuildRequest) {
			return func(req *deployments.BuildRequest) {
				req.Environment, req.Source.SHA = "shop-pr-43", strings.Repeat("9", 40)
			}
		}, true},
		"in a later process": {func(w *workshop, _ made) func(*deployments.BuildRequest) {
			*w = *w.opened(func(*Config) {})
			return nil
		}, true},
		"almost a day later": {func(w *workshop, _ made) func(*deployments.BuildRequest) {
			*w = *w.opened(func(c *Config) { c.Now = func() time.Time { return time.Now().Add(23 * time.Hour) } })
			return nil
		}, true},
		"a day later": {func(w *workshop, _ made) func(*deployments.BuildRequest) {
			*w = *w.opened(func(c *Config) { c.Now = func() time.Time { return time.Now().Add(24 * time.Hour) } })
			return nil
		}, false},
		"for a fork":             {func(*workshop, made) func(*deployments.BuildRequest) { return fromFork }, false},
		"for another repository": {func(*workshop, made) func(*deployments.BuildRequest) { return fromElsewhere }, false},
		"fresh":                  {func(*workshop, made) func(*deployments.BuildRequest) { return fresh }, false},
		"since a fresh build": {func(w *workshop, _ made) func(*deployments.BuildRequest) {
			w.make("FROM "+w.base+"\n", fresh)
			return nil
		}, false},
		"without the image": {func(w *workshop, first made) func(*deployments.BuildRequest) {
			check(w.t, w.Remove(w.t.Context(), first.References))
			return nil
		}, false},
		"on another base": {func(w *workshop, _ made) func(*deployments.BuildRequest) {
			other := "vt-base-" + random() + ":1"
			w.importImage(other)
			check(w.t, w.engine.ImageTag(w.t.Context(), other, w.base))
			return nil
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := *shop
			w.t, w.base = t, strings.Split(shop.base, ":")[0]+":"+random()
			w.importImage(w.base)
			w.Builder = w.opened(func(c *Config) { c.DataDir, c.CheckoutDir = t.TempDir(), "" }).Builder
			dockerfile := "FROM " + w.base + "\nRUN [\"/tool\", \"random\", \"/drawn\", \"" + random() + "\"]\n"
			first := w.make(dockerfile, nil)
			w.forgets(dockerfile)
			again := w.make(dockerfile, test.change(&w, first))
			if kept := again.ID == first.ID; kept != test.kept {
				t.Errorf("kept: %v, of %+v came %+v", kept, first, again)
			}
			if id := w.id(w.onEngine(again.References[1])); id != again.ID {
				t.Errorf("the tag of the commit is on %s, not on %s", id, again.ID)
			}
			if test.kept && !again.Cached {
				t.Error("it does not count as cached")
			}
		})
	}
}

func TestUnchangedServiceOnABaseOfARegistry(t *testing.T) {
	w := newWorkshop(t)
	l := w.library()
	other := "vt-base-" + random() + ":2"
	w.importImage(other)
	name := l.address + "/base:1"
	w.publish(l, w.base, "base:1")
	w.untagged(name)
	dockerfile := "FROM " + name + "\nRUN [\"/tool\", \"random\", \"/drawn\"]\n"
	first := w.make(dockerfile, nil)
	log := &buffer{}
	if again := w.make(dockerfile, func(req *deployments.BuildRequest) { req.Log = log }); again.ID != first.ID {
		t.Errorf("of %+v came %+v", first, again)
	}
	if !strings.Contains(log.String(), "web | unchanged: the image of ") {
		t.Errorf("the engine was asked although nothing changed; the log is\n%s", log)
	}
	w.publish(l, other, "base:1")
	w.untagged(name)
	if again := w.make(dockerfile, nil); w.baseOf(again) != other {
		t.Errorf("after the base changed, a build is based on %s", w.baseOf(again))
	}
	// What may not be used any more is no base of anything.
	w.permission.rule.Trusted = nil
	_, err := w.Build(t.Context(), w.request(map[string]string{"Dockerfile": dockerfile}, web))
	fault(t, err, deployments.FaultBuild)
}

func TestIndex(t *testing.T) {
	dir := t.TempDir()
	check(t, os.MkdirAll(imagesIn(dir), 0o700))
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	open := func() *index {
		x, err := openIndex(dir, func() time.Time { return now }, newBuilder(t, Config{}).log)
		check(t, err)
		return x
	}
	older := outcome{Image: "sha256:1", Bases: map[string]base{"node:20": {ID: "sha256:2", Digest: "sha256:3"}}, At: now}
	check(t, open().put("a", older))
	now = now.Add(maxImageAge - time.Nanosecond)
	got, ok := open().find("a")
	if diff := cmp.Diff(older, got); diff != "" || !ok {
		t.Error(diff)
	}
	now = now.Add(time.Nanosecond)
	x := open()
	if _, ok := x.find("a"); ok {
		t.Error("what is too old was found")
	}
	check(t, x.put("b", outcome{Image: "sha256:4", At: now}))
	if len(x.outcomes) != 1 {
		t.Errorf("what is too old is kept: %v", x.outcomes)
	}
	for _, text := range []string{"", "[]", "null", "{\"a\":"} {
		check(t, os.WriteFile(x.file, []byte(text), 0o600))
		y := open()
		check(t, y.put("c", older))
		if len(y.outcomes) != 0 { // it is too old already
			t.Errorf("%q: got %v", text, y.outcomes)
		}
	}
}

package builder

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"

	"vitrine/builder/registry"
	"vitrine/deployments"
)

// A library is a registry of somebody else's, whose images the operator trusts.
type library struct {
	*Builder        // that pushes to it
	address  string // "host:port"
	close    func() error
}

func (w *workshop) library() *library {
	w.t.Helper()
	r, err := registry.Start(w.t.Context(), registry.Config{Root: filepath.Join(w.t.TempDir(), "library"), Listen: "127.0.0.1:0"})
	check(w.t, err)
	l := &library{address: r.Addr(), close: sync.OnceValue(r.Close)}
	w.t.Cleanup(func() { check(w.t, l.close()) })
	l.Builder = newBuilder(w.t, Config{Instance: "library", Registry: l.address})
	w.permission.rule.Trusted = append(w.permission.rule.Trusted, l.address+"/*")
	return l
}

// publish pushes an image of the engine under a name of the library's, which it has on the engine from then on.
func (w *workshop) publish(l *library, image, name string) {
	w.t.Helper()
	_, err := l.push(w.t.Context(), w.id(image), name)
	check(w.t, err)
	w.t.Cleanup(func() { w.untagged(l.address + "/" + name) })
}

func (w *workshop) untagged(name string) {
	w.t.Helper()
	_, err := w.engine.ImageRemove(context.Background(), name, image.RemoveOptions{})
	if !cerrdefs.IsNotFound(err) {
		check(w.t, err)
	}
}

// baseOf returns the name under which a build's base was imported.
func (w *workshop) baseOf(m made) string {
	w.t.Helper()
	info, err := w.engine.ImageInspect(w.t.Context(), m.ID)
	check(w.t, err)
	return info.Config.Labels["vt.test"]
}

func TestFreshBuildPullsItsBases(t *testing.T) {
	w := newWorkshop(t)
	l := w.library()
	older, newer := w.base, "vt-base-"+random()+":2"
	w.importImage(newer)
	name := l.address + "/base:1"
	w.publish(l, older, "base:1")
	w.publish(l, newer, "base:1")
	check(t, w.engine.ImageTag(t.Context(), older, name)) // as if it had been pulled before the newer one was pushed

	from := "FROM " + name + "\nRUN [\"/tool\", \"random\", \"/drawn\"]\n"
	copied := "FROM scratch\nCOPY --from=" + name + " /tool /tool\n"
	usual := w.make(from, nil)
	if got := w.baseOf(usual); got != older {
		t.Errorf("a usual build is based on %s, want %s", got, older)
	}
	if got := w.baseOf(w.make(from, fresh)); got != newer {
		t.Errorf("a fresh build is based on %s, want %s", got, newer)
	}
	w.make(copied, fresh)
	if id := w.id(name); id != w.id(older) {
		t.Errorf("a fresh build made %s of an image on the engine that is not ours", id)
	}
	// What never came from a registry stays, although one could be asked for the name.
	local := l.address + "/local:1"
	check(t, w.engine.ImageTag(t.Context(), newer, local))
	t.Cleanup(func() { w.untagged(local) })
	if got := w.baseOf(w.make("FROM "+local+"\n", fresh)); got != newer {
		t.Errorf("a fresh build of a local base is based on %s", got)
	}
	// Not on the engine, it is asked for by every build.
	w.untagged(name)
	if got := w.baseOf(w.make(from, nil)); got != newer {
		t.Errorf("without the image on the engine a build is based on %s, want %s", got, newer)
	}

	w.publish(l, older, "base:1")
	check(t, l.close())
	for _, dockerfile := range []string{from, copied} {
		w.make(dockerfile, nil)
		req := w.request(map[string]string{"Dockerfile": dockerfile}, web)
		req.Fresh = true
		_, err := w.Build(t.Context(), req)
		unavailable(t, err, waitsForNetwork)
	}
}

// Of an image that the operator does not trust, what lies on the engine is nothing to a fresh build. No engine is needed to know that.
func TestOnlyTrustedImagesStay(t *testing.T) {
	b := newBuilder(t, Config{DockerHost: "tcp://127.0.0.1:1", Rule: deployments.ImageRule{Trusted: []string{"base:*"}}})
	for _, name := range []string{"node:20", "registry.test/base:1", "base@sha256:" + fullHash("x")} {
		if due, err := b.askedAnew(t.Context(), normal(name)); err != nil || !due {
			t.Errorf("%s: got %v %v", name, due, err)
		}
	}
	_, err := b.askedAnew(t.Context(), normal("base:1"))
	unavailable(t, err, waitsForEngine)
}

func TestGivenBy(t *testing.T) {
	at := "@sha256:" + fullHash("x")
	for _, c := range []struct {
		name    string
		digests []string
		want    bool
	}{
		{"node:20", nil, false},
		{"node:20", []string{"node" + at}, true},
		{normal("node:20"), []string{"docker.io/library/node" + at}, true},
		{"node:20", []string{"mallory/node" + at, "registry.test/node" + at}, false},
		{"registry.test:5000/a/b:1", []string{"node" + at, "registry.test:5000/a/b" + at}, true},
		{"node:20", []string{"<none>@<none>", ""}, false},
	} {
		named, err := reference.ParseNormalizedNamed(c.name)
		check(t, err)
		if got := givenBy(named, c.digests); got != c.want {
			t.Errorf("%s by %q: got %v", c.name, c.digests, got)
		}
	}
}

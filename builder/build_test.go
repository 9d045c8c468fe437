package builder

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

func TestBuildPushRemoveAndPull(t *testing.T) {
	w := newWorkshop(t)
	ctx := t.Context()
	req := w.request(map[string]string{
		"Dockerfile": "FROM " + w.base + "\nCOPY page /page\nRUN [\"/tool\", \"write\", \"/made\", \"x\"]\nCMD [\"/tool\"]\n",
		"page":       "hello " + w.base,
	}, web)
	var statuses sync.Map
	req.Progress = func(service, status string) { statuses.Store(service+": "+status, true) }
	log := &buffer{}
	req.Log = log
	images, err := w.Build(ctx, req)
	check(t, err)
	got := images[0]
	repository := "vitrine-" + w.config.Instance + "/acme/shop/web"
	want := []string{repository + ":id-" + strings.TrimPrefix(got.ID, "sha256:"), repository + ":shop-pr-42.3f2a91c03f2a"}
	if diff := cmp.Diff(want, got.References); diff != "" {
		t.Error(diff)
	}
	if id := w.id(w.onEngine(want[1])); id != got.ID {
		t.Errorf("the image has ID %s, not %s", id, got.ID)
	}
	if got.Cached || got.Digest != "" || got.Service != "web" {
		t.Errorf("got %+v", got)
	}
	if _, ok := statuses.Load("web: step 3 of 3"); !ok {
		t.Errorf("progress never was step 3 of 3; the log is\n%s", log)
	}
	if !strings.Contains(log.String(), "web | [3/3] RUN ") {
		t.Errorf("the log is\n%s", log)
	}
	again, err := w.Build(ctx, req)
	check(t, err)
	if again[0].ID != got.ID || !again[0].Cached {
		t.Errorf("built again: got %+v, want %s from the cache", again[0], got.ID)
	}

	listed, err := w.References(ctx)
	check(t, err)
	if diff := cmp.Diff(want[1:], listed); diff != "" {
		t.Error(diff)
	}
	pushed, err := w.Push(ctx, images)
	check(t, err)
	if !strings.HasPrefix(pushed[0].Digest, "sha256:") || images[0].Digest != "" {
		t.Errorf("pushed %+v of %+v", pushed[0], images[0])
	}
	listed, err = w.References(ctx)
	check(t, err)
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Error(diff)
	}

	for _, reference := range want {
		check(t, w.removeFromEngine(ctx, reference))
	}
	if _, err := w.engine.ImageInspect(ctx, got.ID); !cerrdefs.IsNotFound(err) {
		t.Fatalf("the image is still on the engine: %v", err)
	}
	w.pull(want[1])
	back, err := w.engine.ImageInspect(ctx, w.onEngine(want[1]))
	check(t, err)
	if back.ID != got.ID {
		t.Errorf("pulled %s, want %s", back.ID, got.ID)
	}

	check(t, w.Remove(ctx, want))
	check(t, w.Remove(ctx, want))
	listed, err = w.References(ctx)
	check(t, err)
	if len(listed) > 0 {
		t.Errorf("after Remove there is %v", listed)
	}
}

// A build copies from folders beside its context, by their names. What changes there is built, and what their lists leave out is not there.
func TestBuildWithFurtherFolders(t *testing.T) {
	w := newWorkshop(t)
	files := map[string]string{
		"app/Dockerfile": "FROM " + w.base + " AS tools\nFROM start\nCOPY --from=tools /tool /tool\nCOPY --from=assets /css/site.css /site.css\n" +
			"RUN --mount=type=bind,from=assets,target=/in [\"/tool\", \"hash\", \"/in/css/site.css\", \"/hash\"]\nCOPY page /page\n",
		"app/page": "page", "assets/css/site.css": "first " + w.base, "assets/left": "x", "assets/.dockerignore": "left\n", "start/begun": "begun",
	}
	build := deployments.Build{Service: "web", Context: "app", Contexts: map[string]string{"assets": "assets", "start": "start"}}
	for _, css := range []string{"first " + w.base, "second " + w.base} {
		files["assets/css/site.css"] = css
		images, err := w.Build(t.Context(), w.request(files, build))
		check(t, err)
		sum := sha256.Sum256([]byte(css))
		for name, want := range map[string]string{"site.css": css, "hash": hex.EncodeToString(sum[:]), "page": "page", "begun": "begun"} {
			if got := string(w.fileOf(images[0].ID, name)); got != want {
				t.Errorf("/%s holds %q, want %q", name, got, want)
			}
		}
	}

	files["app/Dockerfile"] = "FROM scratch\nCOPY --from=assets left /\n"
	_, err := w.Build(t.Context(), w.request(files, build))
	if f := fault(t, err, deployments.FaultBuild); f.Where != "app/Dockerfile:2" || !strings.Contains(f.Reason, "left") {
		t.Errorf("got %v, want that the file left out is not there", f)
	}
	files["assets/.dockerignore"] = "[\n"
	_, err = w.Build(t.Context(), w.request(files, build))
	if f := fault(t, err, deployments.FaultBuild); f.Where != "assets/.dockerignore" {
		t.Errorf("got %v, want that the pattern cannot be read", f)
	}
}

func (w *workshop) pull(reference string) {
	w.t.Helper()
	stream, err := w.engine.ImagePull(w.t.Context(), w.onEngine(reference), image.PullOptions{})
	check(w.t, err)
	defer stream.Close()
	lines := bufio.NewScanner(stream)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"error"`) {
			w.t.Fatal(lines.Text())
		}
	}
	check(w.t, lines.Err())
}

func TestBuildSideBySide(t *testing.T) {
	w := newWorkshop(t)
	l, err := net.Listen("tcp", w.gateway()+":0")
	check(t, err)
	defer l.Close()
	// Each build waits until both are there, so one after the other would never end.
	met := make(chan error, 1)
	go func() {
		var conns []net.Conn
		for range 2 {
			c, err := l.Accept()
			if err != nil {
				met <- err
				return
			}
			conns = append(conns, c)
		}
		for _, c := range conns {
			c.Close()
		}
		met <- nil
	}()
	dockerfile := func(name string) string {
		return fmt.Sprintf("FROM %s\nRUN [\"/tool\", \"meet\", \"%s\", \"%s\"]\n", w.base, l.Addr(), name)
	}
	images, err := w.Build(t.Context(), w.request(
		map[string]string{"web/Dockerfile": dockerfile("web"), "api/Dockerfile": dockerfile("api")},
		deployments.Build{Service: "web", Context: "web"}, deployments.Build{Service: "api", Context: "./api/"}))
	check(t, err)
	check(t, <-met)
	if images[0].Service != "web" || images[1].Service != "api" || images[0].ID == images[1].ID {
		t.Errorf("got %+v", images)
	}
}

// gateway is the host's address in the network that RUN is in.
func (w *workshop) gateway() string {
	w.t.Helper()
	n, err := w.engine.NetworkInspect(w.t.Context(), "bridge", network.InspectOptions{})
	check(w.t, err)
	return netip.MustParsePrefix(n.IPAM.Config[0].Subnet).Addr().Next().String()
}

func TestBuildFaults(t *testing.T) {
	w := newWorkshop(t)
	lines := func(from, to int) []string {
		var out []string
		for i := from; i <= to; i++ {
			out = append(out, fmt.Sprint("line ", i))
		}
		return out
	}
	tests := []struct {
		name    string
		files   map[string]string
		build   deployments.Build
		where   string
		reason  string // its beginning
		excerpt []string
	}{
		{
			name:  "a RUN that fails",
			files: map[string]string{"api/Dockerfile": "# comment\nFROM " + w.base + "\n\nRUN [\"/tool\", \"fail\", \"3\", \"30\"]\n"},
			build: deployments.Build{Service: "api", Context: "api"},
			where: "api/Dockerfile:4", reason: "`RUN [\"/tool\", \"fail\", \"3\", \"30\"]` exited 3 after ", excerpt: lines(11, 30),
		},
		{
			name:  "in a stage",
			files: map[string]string{"docker/web.Dockerfile": "FROM " + w.base + " AS one\nRUN [\"/tool\", \"fail\", \\\n  \"1\", \"1\"]\nFROM scratch AS two\nCOPY --from=one /tool /\n"},
			build: deployments.Build{Service: "api", Context: ".", Dockerfile: "docker/web.Dockerfile", Target: "two"},
			where: "docker/web.Dockerfile:2", reason: "`RUN [\"/tool\", \"fail\", ...` exited 1 after ", excerpt: lines(1, 1),
		},
		{
			name:  "an unknown instruction",
			files: map[string]string{"Dockerfile": "FROM scratch\nCOPPY a b\n"},
			build: web, where: "Dockerfile:2", reason: "unknown instruction: COPPY",
		},
		{
			name:  "no instruction",
			files: map[string]string{"Dockerfile": "# nothing\n"},
			build: web, where: "Dockerfile:1", reason: "the Dockerfile cannot be read: file with no instructions",
		},
		{
			name:  "a heredoc without an end",
			files: map[string]string{"Dockerfile": "FROM scratch\nCOPY <<EOF /a\nx\n"},
			build: web, where: "Dockerfile:2", reason: "the Dockerfile cannot be read: unterminated heredoc",
		},
		{
			name:  "a COPY of what is not there",
			files: map[string]string{"Dockerfile": "FROM scratch\nCOPY a /a\nCOPY nothere /b\n", "a": "1"},
			build: web, where: "Dockerfile:3", reason: "`COPY nothere /b` failed: ",
		},
		{
			name:  "a stage that is not there",
			files: map[string]string{"Dockerfile": "FROM scratch\nCOPY a /a\n", "a": "1"},
			build: deployments.Build{Service: "web", Context: ".", Target: "nothere"},
			where: "Dockerfile", reason: "the build failed: target stage",
		},
		{
			name:  "a stage by a number that it does not have",
			files: map[string]string{"Dockerfile": "FROM scratch\nCOPY --from=428803715747 a /a\n"},
			build: web, where: "Dockerfile", reason: "invalid stage index 428803715747",
		},
		{name: "no Dockerfile", build: web, where: "Dockerfile", reason: "the Dockerfile is not there"},
		{
			name: "an inline one", build: deployments.Build{Service: "web", Context: ".", Inline: "FROM " + w.base + "\nRUN [\"/nothere\"]\n"},
			where: "dockerfile_inline:2", reason: "`RUN [\"/nothere\"]` ",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			log := &buffer{}
			req := w.request(test.files, test.build)
			req.Log = log
			_, err := w.Build(t.Context(), req)
			f := fault(t, err, deployments.FaultBuild)
			if f.Where != test.where || f.Service != test.build.Service || !strings.Contains(f.Reason, test.reason) {
				t.Errorf("got %q at %q of %q\nlog: %s", f.Reason, f.Where, f.Service, log)
			}
			if diff := cmp.Diff(test.excerpt, f.Excerpt); diff != "" && test.excerpt != nil {
				t.Error(diff)
			}
		})
	}
	left, err := w.References(t.Context())
	check(t, err)
	if len(left) > 0 {
		t.Errorf("failed builds left %v", left)
	}
}

func TestBuildRefuses(t *testing.T) {
	w := newWorkshop(t)
	stranger := "vt-stranger-" + random() + ":1"
	stranger = "127.0.0.1:1/" + stranger
	w.importImage(stranger)
	strangers, err := w.engine.ImageInspect(t.Context(), stranger)
	check(t, err)
	id := strings.TrimPrefix(strangers.ID, "sha256:")
	short := id[:strings.IndexAny(id[11:], "abcdef")+12] // with a letter in it: digits alone would be a stage's number
	tests := []struct{ name, dockerfile, where, reason string }{
		{"ADD of an URL", "FROM scratch\nADD http://127.0.0.1:1/x /x\n", "Dockerfile:2", "ADD of http://127.0.0.1:1/x is not allowed"},
		{"ADD of git", "FROM scratch\nADD https://127.0.0.1:1/x.git /x\n", "Dockerfile:2", "ADD of a git repository is not allowed"},
		{"FROM", "FROM " + stranger + "\n", "Dockerfile:1", "would come from the engine's own machine"},
		{"FROM ID", "FROM " + id + "\n", "Dockerfile:1", "cannot specify 64-byte hexadecimal strings"},
		{"FROM short ID", "FROM " + short + "\n", "Dockerfile:1", "is an image ID"},
		{"COPY --from=ID", "FROM " + w.base + "\nCOPY --from=" + short + " /tool /x\n", "Dockerfile:2", "is an image ID"},
		{"COPY --from", "FROM " + w.base + "\nCOPY --from=" + stranger + " /tool /x\n", "Dockerfile:2", "would come from the engine's own machine"},
		{"RUN --mount", "FROM " + w.base + "\nRUN --mount=from=" + stranger + ",target=/x [\"/tool\"]\n", "Dockerfile:2", "would come from the engine's own machine"},
		{"our registry", "FROM " + w.config.Registry + "/vitrine-x/y:z\n", "Dockerfile:1", "lies in the preview registry"},
		{"our registry by another name", "FROM registry.test:5055/vitrine-x/y:z\n", "Dockerfile:1", "is one of a preview"},
		{"host network", "FROM " + w.base + "\nRUN --network=host [\"/tool\"]\n", "Dockerfile:2", "RUN --network=host is not allowed"},
		{"insecure", "# syntax=docker/dockerfile:1-labs\nFROM " + w.base + "\nRUN --security=insecure [\"/tool\"]\n", "Dockerfile:3", "RUN --security=insecure is not allowed"},
		{"another frontend", "# syntax=" + stranger + "\nFROM scratch\n", "Dockerfile:1", "asks for another builder"},
		{"frontend 2", "# syntax=docker/dockerfile:2\nFROM scratch\n", "Dockerfile:1", "asks for another builder"},
		{"upstream frontend", "# syntax=docker/dockerfile-upstream:1\nFROM scratch\n", "Dockerfile:1", "asks for another builder"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := w.Build(t.Context(), w.request(map[string]string{"Dockerfile": test.dockerfile}, web))
			f := fault(t, err, deployments.FaultBuild)
			if !strings.Contains(f.Reason, test.reason) || f.Where != test.where {
				t.Errorf("got %q at %q", f.Reason, f.Where)
			}
		})
	}
}

func TestBuildWithSyntaxAndHeredocs(t *testing.T) {
	w := newWorkshop(t)
	dockerfile := "# syntax=docker/dockerfile:1\nARG WHO=nobody\nFROM " + w.base + " AS base\nARG WHO\nCOPY <<EOF /hello\nhello ${WHO}\nEOF\n" +
		"RUN --mount=type=cache,target=/cache [\"/tool\", \"write\", \"/cache/x\", \"x\"]\nLABEL who=$WHO\n"
	build := deployments.Build{Service: "web", Context: ".", Args: map[string]string{
		"WHO": "ada", "UNKNOWN": "x", "BUILDKIT_SYNTAX": "127.0.0.1:1/evil", "HTTP_PROXY": "http://127.0.0.1:1",
	}}
	images, err := w.Build(t.Context(), w.request(map[string]string{"Dockerfile": dockerfile}, build))
	check(t, err)
	made, err := w.engine.ImageInspect(t.Context(), images[0].ID)
	check(t, err)
	if made.Config.Labels["who"] != "ada" {
		t.Errorf("the labels are %v", made.Config.Labels)
	}
}

func TestBuildHonoursDockerignore(t *testing.T) {
	w := newWorkshop(t)
	files := map[string]string{
		"Dockerfile": "FROM " + w.base + "\nCOPY . /c/\nRUN [\"/tool\", \"write\", \"/c/secret/x\", \"x\"]\n", ".dockerignore": "secret\n", "secret/y": "1", "keep": "1",
	}
	_, err := w.Build(t.Context(), w.request(files, web))
	if f := fault(t, err, deployments.FaultBuild); !strings.Contains(strings.Join(f.Excerpt, "\n"), "no such file") {
		t.Errorf("got %+v, want the folder missing", f)
	}
	// The Dockerfile's own list counts before the context's.
	files["Dockerfile.dockerignore"] = "keep\n"
	_, err = w.Build(t.Context(), w.request(files, web))
	check(t, err)
}

func TestBuildStopsWithItsContext(t *testing.T) {
	w := newWorkshop(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("superseded by 3f2a91c")
	req := w.request(map[string]string{
		"quick/Dockerfile": "FROM " + w.base + "\n", "slow/Dockerfile": "FROM " + w.base + "\nRUN [\"/tool\", \"wait\"]\n",
	}, deployments.Build{Service: "quick", Context: "quick"}, deployments.Build{Service: "slow", Context: "slow"})
	req.Log = writerFunc(func(p []byte) {
		if strings.Contains(string(p), "slow | waiting") {
			cancel(cause)
		}
	})
	if _, err := w.Build(ctx, req); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
	left, err := w.References(t.Context())
	check(t, err)
	if len(left) > 0 {
		t.Errorf("the cancelled build left %v", left)
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

func TestBuildWithoutAnEngineIsOurs(t *testing.T) {
	b := newBuilder(t, Config{DockerHost: "tcp://127.0.0.1:1"})
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"Dockerfile": "FROM scratch\n"})
	_, err := b.Build(t.Context(), deployments.BuildRequest{Environment: "x", Source: shop(strings.Repeat("a", 40)), Dir: dir, Builds: []deployments.Build{web}})
	unavailable(t, err, waitsForEngine)
}

func TestRemoveKeepsOffOthers(t *testing.T) {
	w := newWorkshop(t)
	for _, reference := range []string{w.base, "vitrine-other/acme/shop/web:x", "debian:12"} {
		if err := w.Remove(t.Context(), []string{reference}); err == nil {
			t.Errorf("%s was removed", reference)
		}
	}
	_, err := w.engine.ImageInspect(t.Context(), w.base)
	check(t, err)
}

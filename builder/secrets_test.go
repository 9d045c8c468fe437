package builder

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"vitrine/deployments"
)

// A step reads a secret, and what it makes of it is in the image; the value itself is neither in a layer nor in the history nor in the configuration.
func TestBuildReadsSecrets(t *testing.T) {
	w := newWorkshop(t)
	secret := "s3cr3t-" + random() + "-" + random()
	// The last word keeps the step apart from that of another run in the build cache.
	dockerfile := "FROM " + w.base + "\nRUN --mount=type=secret,id=token [\"/tool\", \"hash\", \"/run/secrets/token\", \"/made\", \"" + random() + "\"]\n" +
		"RUN --mount=type=secret,id=other,target=/other,mode=0400 [\"/tool\", \"hash\", \"/other\", \"/other-made\"]\n"
	build := deployments.Build{Service: "web", Context: ".", Secrets: map[string][]byte{"token": []byte(secret), "other": {0, 1, 2}}}
	images, err := w.Build(t.Context(), w.request(map[string]string{"Dockerfile": dockerfile}, build))
	check(t, err)
	hash := func(value string) string {
		sum := sha256.Sum256([]byte(value))
		return hex.EncodeToString(sum[:])
	}
	for file, want := range map[string]string{"made": hash(secret), "other-made": hash("\x00\x01\x02")} {
		if got := string(w.fileOf(images[0].ID, file)); got != want {
			t.Errorf("/%s holds %s, want %s", file, got, want)
		}
	}
	history, err := w.engine.ImageHistory(t.Context(), images[0].ID)
	check(t, err)
	described, err := w.engine.ImageInspect(t.Context(), images[0].ID)
	check(t, err)
	saved, err := w.engine.ImageSave(t.Context(), []string{images[0].ID})
	check(t, err)
	defer saved.Close()
	layers, err := io.ReadAll(saved) // an engine saves them uncompressed
	check(t, err)
	said, err := json.Marshal([]any{history, described})
	check(t, err)
	if !bytes.Contains(layers, []byte(hash(secret))) {
		t.Error("the layers that were looked at do not have what the step made")
	}
	for where, text := range map[string][]byte{"the layers": layers, "the history or the configuration": said} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s have the secret", where)
		}
	}
}

// fileOf returns a file of an image.
func (w *workshop) fileOf(image, name string) []byte {
	w.t.Helper()
	stream := w.export(image)
	defer stream.Close()
	archive := tar.NewReader(stream)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			w.t.Fatalf("the image has no /%s", name)
		}
		check(w.t, err)
		if header.Name == name {
			content, err := io.ReadAll(archive)
			check(w.t, err)
			return content
		}
	}
}

// A build goes without a secret that it does not need. One that needs it fails, and so does a fork's, which never gets any.
func TestBuildWithoutSecrets(t *testing.T) {
	w := newWorkshop(t)
	// The last word keeps the steps apart in the build cache.
	optional := "FROM " + w.base + "\nRUN --mount=type=secret,id=token [\"/tool\", \"hash\", \"/run/secrets/token\", \"/made\", \"NAME\"]\n"
	required := strings.ReplaceAll(optional, "id=token", "id=token,required")
	given := deployments.Build{Service: "web", Context: ".", Secrets: map[string][]byte{"token": []byte("s3cr3t-" + random())}}
	nothing := sha256.Sum256(nil)
	for name, test := range map[string]struct {
		dockerfile string
		build      deployments.Build
		fork       bool
		fails      bool
	}{
		"optional":           {optional, web, false, false},
		"required":           {required, web, false, true},
		"optional in a fork": {optional, given, true, false},
		"required in a fork": {required, given, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := *w
			w.t = t
			req := w.request(map[string]string{"Dockerfile": strings.ReplaceAll(test.dockerfile, "NAME", random())}, test.build)
			req.Source.Fork = test.fork
			log := &buffer{}
			req.Log = log
			images, err := w.Build(t.Context(), req)
			if test.fails {
				f := fault(t, err, deployments.FaultBuild)
				if f.Where != "Dockerfile:2" || !strings.Contains(f.Reason, "secret token not found") {
					t.Errorf("got %q at %q", f.Reason, f.Where)
				}
				return
			}
			check(t, err)
			if got := string(w.fileOf(images[0].ID, "made")); got != hex.EncodeToString(nothing[:]) {
				t.Errorf("it read something: %s\n%s", got, log)
			}
		})
	}
}

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
)

// kettles is the repository with a web and a worker around Postgres and Redis, of testdata/rails.
const kettles = "acme/kettles"

// debian imports a Debian with further packages as an image, for repositories to build on. It takes a minute.
func (w *world) debian(name string, packages ...string) {
	w.Helper()
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		w.Fatal("mmdebstrap is missing: .ci/prepare test installs it")
	}
	command := exec.CommandContext(w.Context(), "mmdebstrap", "--quiet", "--variant=minbase", "--include="+strings.Join(packages, ","),
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "--format=tar", "bookworm", "-")
	var complaints bytes.Buffer
	command.Stderr = &complaints
	archive, err := command.StdoutPipe()
	w.must(err)
	w.must(command.Start())
	b := w.builder()
	defer b.Close()
	w.imported = append(w.imported, name)
	imported := b.Import(w.Context(), name, archive)
	if err := command.Wait(); err != nil {
		w.Fatalf("make a Debian: %v: %s", err, complaints.String())
	}
	w.must(imported)
}

// railsFiles returns the repository's files, which build on base.
func (w *world) railsFiles(base string) map[string]string {
	w.Helper()
	files, root := make(map[string]string), filepath.Join("testdata", "rails")
	w.must(fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(root, path))
		files[path] = strings.ReplaceAll(string(content), "DEBIAN_IMAGE", base)
		return err
	}))
	return files
}

// A kettleShop is what the web of testdata/rails says of itself.
type kettleShop struct {
	Orders       [][2]any `json:"orders"` // what was ordered, and whether that was mailed
	Migrations   int      `json:"migrations"`
	Env          string   `json:"env"`
	Version      string   `json:"version"`
	Secret       string   `json:"secret"` // of SECRET_KEY_BASE, the SHA-256
	SecretLength int      `json:"secret_length"`
	Stripe       string   `json:"stripe"` // of STRIPE_KEY, the SHA-256
}

// shop asks the preview; the zero value where it does not answer so.
func (w *world) shop(link string) (s kettleShop) {
	w.Helper()
	response, err := w.story().client.Get(link)
	w.must(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	w.must(err)
	if response.StatusCode == http.StatusOK && json.Unmarshal(body, &s) != nil {
		return kettleShop{}
	}
	return s
}

// A stack like that of a Rails application: the attempt without its required key fails and says so; with it the database is made, migrated and seeded
// before the web starts; the worker works; and a push keeps what is in the database, migrates again and does not seed again.
func TestSoakRails(t *testing.T) {
	t.Parallel() // it waits for most of its time
	base := "vitrine-test-" + randomName() + ":debian"
	w := newWorld(t, "VITRINE_TRUSTED_IMAGES="+base)
	w.debian(base, "ruby", "ruby-pg", "ruby-redis", "puma", "postgresql", "redis-server")
	w.must(w.github.CreateRepository(t.Context(), kettles, false, w.railsFiles(base)))
	w.must(w.github.SetPermission(kettles, sample.Developer, "write"))
	w.start()

	push := func(version string) {
		t.Helper()
		_, err := w.github.Commit(t.Context(), githubsim.Change{
			Repository: kettles, Branch: "spouts", Author: sample.Developer, Files: map[string]string{"version.txt": version + "\n"},
		})
		w.must(err)
	}
	push("2")
	number, err := w.github.OpenPullRequest(t.Context(), githubsim.PullRequest{Repository: kettles, Head: "spouts", Title: "Spouts", Author: sample.Developer})
	w.must(err)
	w.eventually("the comment says what is missing", func() bool { return strings.Contains(w.saidIn(kettles, number), "### Preview: failed") })
	for _, want := range []string{"STRIPE_KEY", "ask the payments team"} {
		if text := w.saidIn(kettles, number); !strings.Contains(text, want) {
			t.Errorf("the comment does not say %q:\n%s", want, text)
		}
	}

	const key = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
	w.vitrine("env", "set", kettles, "STRIPE_KEY="+key)
	_, err = w.github.Comment(kettles, number, sample.Developer, "/deploy")
	w.must(err)
	link := w.story().link("kettles-pr-1")
	sum := sha256.Sum256([]byte(key))
	want := kettleShop{Orders: [][2]any{{"a kettle", true}}, Migrations: 1, Env: "production", Version: "2", SecretLength: 64, Stripe: hex.EncodeToString(sum[:])}
	w.eventually("the shop is open", func() bool { return w.shop(link).Version == "2" })
	first := w.shop(link)
	want.Secret = first.Secret
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("the shop (-want +got):\n%s", diff)
	}

	response, err := w.story().client.Post(link+"/orders", "text/plain", strings.NewReader("a spout"))
	w.must(err)
	response.Body.Close()
	want.Orders = append(want.Orders, [2]any{"a spout", true})
	w.eventually("the worker has mailed the order", func() bool { return cmp.Equal(want, w.shop(link)) })

	push("3")
	w.eventually("the push is live", func() bool { return w.shop(link).Version == "3" })
	want.Version, want.Migrations = "3", 2
	if diff := cmp.Diff(want, w.shop(link)); diff != "" {
		t.Errorf("the shop after a push (-want +got):\n%s", diff)
	}
	if text := w.saidIn(kettles, number); strings.Contains(text, key) {
		t.Errorf("the comment has the key:\n%s", text)
	}
	w.stop()
}

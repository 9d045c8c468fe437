package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"vitrine/deployments"
)

var update = flag.Bool("update", false, "write what is read into the files of testdata")

// want is the file of an archive that holds the answer. It is no part of the checkout.
const want = "want"

// testVars stand for what the server knows of an environment.
func testVars() map[string]string {
	return map[string]string{"VITRINE_ENVIRONMENT": "shop-pr-42", "VITRINE_SHA": "3f2a91c"}
}

// Each archive of testdata is a checkout and, in its last file, what Read makes of it: files called ok-* are read, no-* are refused.
func TestRead(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives in testdata", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := unpack(t, archive)
			stack, err := New(Config{}).Read(t.Context(), "acme/shop", dir, deployments.Values{Own: testVars()})
			if ok := strings.HasPrefix(filepath.Base(name), "ok-"); ok != (err == nil) {
				t.Errorf("the error is %v", err)
			}
			got := answer(t, stack, err)
			if *update {
				rewrite(t, name, archive, got)
				return
			}
			if diff := cmp.Diff(string(fileOf(archive, want)), got); diff != "" {
				t.Error(diff)
			}
			public, publicErr := New(Config{}).Public(t.Context(), "acme/shop", dir, deployments.Values{Own: testVars()})
			if diff := cmp.Diff(stack.Public, public); err == nil && (publicErr != nil || diff != "") {
				t.Errorf("Public answers otherwise: %v %s", publicErr, diff)
			}
		})
	}
}

// unpack writes a checkout.
func unpack(t testing.TB, archive *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range archive.Files {
		if f.Name != want {
			write(t, dir, f.Name, string(f.Data))
		}
	}
	return dir
}

func write(t testing.TB, dir, name, content string) {
	t.Helper()
	to := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func fileOf(archive *txtar.Archive, name string) []byte {
	for _, f := range archive.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func rewrite(t *testing.T, name string, archive *txtar.Archive, got string) {
	t.Helper()
	var files []txtar.File
	for _, f := range archive.Files {
		if f.Name != want {
			files = append(files, f)
		}
	}
	archive.Files = append(files, txtar.File{Name: want, Data: []byte(got)})
	if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// answer writes what a reading came to.
func answer(t *testing.T, stack deployments.Stack, err error) string {
	t.Helper()
	if err != nil {
		f := deployments.FaultOf(err)
		if f == nil {
			t.Fatalf("the error is not the user's: %v", err)
		}
		if f.Kind != deployments.FaultNothing && !strings.HasPrefix(f.Excerpt[0], f.Where) {
			t.Errorf("the first line is not the reason: %+v", f)
		}
		return string(f.Kind) + "\n" + f.Error() + "\n\n" + strings.Join(f.Excerpt, "\n") + "\n"
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	for _, part := range []any{stack.JSON, stack.Builds, stack.Public, stack.Notes} {
		if err := encoder.Encode(part); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestReadWithoutACheckout(t *testing.T) {
	_, err := New(Config{}).Read(context.Background(), "acme/shop", filepath.Join(t.TempDir(), "gone"), deployments.Values{})
	if err == nil || deployments.FaultOf(err) != nil {
		t.Errorf("a folder that is not there is ours to mend, but: %v", err)
	}
}

func TestPublicKnowsTheNamesOfWhatFollows(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "compose.yaml", "services: {web: {image: a, ports: [\"8080\"], environment: {URL: \"${VITRINE_URL:?}\", API: \"${VITRINE_URL_API:?}\"}}}\n")
	public, err := New(Config{}).Public(t.Context(), "acme/shop", dir, deployments.Values{})
	if diff := cmp.Diff([]deployments.PublicService{{Name: "web", Port: 8080}}, public); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := New(Config{}).Read(t.Context(), "acme/shop", dir, deployments.Values{}); deployments.FaultOf(err) == nil {
		t.Errorf("Read does without them: %v", err)
	}
}

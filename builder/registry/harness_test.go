package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vitrine/builder/registry/s3test"
)

func TestMain(m *testing.M) {
	// An application of distribution starts one goroutine that nothing ends.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/docker/go-events.(*Broadcaster).run"))
}

const (
	manifestKind = "application/vnd.oci.image.manifest.v1+json"
	configKind   = "application/vnd.oci.image.config.v1+json"
	layerKind    = "application/vnd.oci.image.layer.v1.tar"
	// soon is how long a test waits for what is to come.
	soon = 40 * time.Second
)

// inBucket returns the settings for a server's bucket.
func inBucket(s *s3test.Server) *S3 {
	return &S3{Bucket: s.Bucket, Region: s.Region, Endpoint: s.Endpoint, AccessKey: s.AccessKey, SecretKey: s.SecretKey}
}

func start(t *testing.T, c Config) *Registry {
	t.Helper()
	if c.Root == "" && c.S3 == nil {
		c.Root = filepath.Join(t.TempDir(), "deep", "registry")
	}
	c.Listen = "127.0.0.1:0"
	r, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func stop(t *testing.T, r *Registry) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// ask returns the status, the body and the header of an answer.
func ask(t *testing.T, r *Registry, method, path, kind, body string) (int, string, http.Header) {
	t.Helper()
	address := path
	if strings.HasPrefix(path, "/") {
		address = "http://" + r.Addr() + path
	}
	req, err := http.NewRequestWithContext(context.Background(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", manifestKind)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text), answer.Header
}

// want fails the test unless the registry answers with the status, and returns the body and the header.
func want(t *testing.T, r *Registry, status int, method, path, kind, body string) (string, http.Header) {
	t.Helper()
	got, text, header := ask(t, r, method, path, kind, body)
	if got != status {
		t.Fatalf("%s %s answers %d %.200s, want %d", method, path, got, text, status)
	}
	return text, header
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// upload brings a blob into the registry in the steps in which an engine does.
func upload(t *testing.T, r *Registry, name, blob string) {
	t.Helper()
	_, header := want(t, r, http.StatusAccepted, http.MethodPost, "/v2/"+name+"/blobs/uploads/", "", "")
	_, header = want(t, r, http.StatusAccepted, http.MethodPatch, header.Get("Location"), "application/octet-stream", blob)
	want(t, r, http.StatusCreated, http.MethodPut, header.Get("Location")+"&digest="+digestOf(blob), "", "")
}

// push puts an image of the layers under the tag and returns its manifest.
func push(t *testing.T, r *Registry, name, tag string, layers ...string) string {
	t.Helper()
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int    `json:"size"`
	}
	const config = "{}"
	upload(t, r, name, config)
	described := []descriptor{}
	for _, layer := range layers {
		upload(t, r, name, layer)
		described = append(described, descriptor{layerKind, digestOf(layer), len(layer)})
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestKind, "config": descriptor{configKind, digestOf(config), len(config)}, "layers": described,
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, r, http.StatusCreated, http.MethodPut, "/v2/"+name+"/manifests/"+tag, manifestKind, string(manifest))
	return string(manifest)
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// logger returns one for everything, and what it writes.
func logger() (*slog.Logger, *lockedBuffer) {
	out := &lockedBuffer{}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})), out
}

package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// An application of distribution starts one goroutine that nothing ends.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/docker/go-events.(*Broadcaster).run"))
}

func start(t *testing.T, c Config) *Registry {
	t.Helper()
	if c.Root == "" {
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

// ask returns the status and the body of an answer.
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

const manifestKind = "application/vnd.oci.image.manifest.v1+json"

// push puts an image of nothing but a configuration under the tag and returns its manifest.
func push(t *testing.T, r *Registry, name, tag string) string {
	t.Helper()
	const config = "{}"
	sum := sha256.Sum256([]byte(config))
	digest := "sha256:" + hex.EncodeToString(sum[:])
	status, body, header := ask(t, r, http.MethodPost, "/v2/"+name+"/blobs/uploads/", "", "")
	if status != http.StatusAccepted {
		t.Fatalf("begin an upload: %d %s", status, body)
	}
	if status, body, _ = ask(t, r, http.MethodPut, header.Get("Location")+"&digest="+digest, "application/octet-stream", config); status != http.StatusCreated {
		t.Fatalf("upload: %d %s", status, body)
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[]}`,
		manifestKind, digest)
	if status, body, _ = ask(t, r, http.MethodPut, "/v2/"+name+"/manifests/"+tag, manifestKind, manifest); status != http.StatusCreated {
		t.Fatalf("put the manifest: %d %s", status, body)
	}
	return manifest
}

func TestRegistryKeepsImagesOverARestart(t *testing.T) {
	root := t.TempDir()
	r := start(t, Config{Root: root})
	manifest := push(t, r, "acme/shop", "one")
	stop(t, r)
	r = start(t, Config{Root: root})
	defer stop(t, r)
	if status, body, _ := ask(t, r, http.MethodGet, "/v2/acme/shop/manifests/one", "", ""); status != http.StatusOK || body != manifest {
		t.Errorf("got %d %s", status, body)
	}
}

func TestRegistryDeletesOneTagOfSeveral(t *testing.T) {
	r := start(t, Config{})
	defer stop(t, r)
	push(t, r, "acme/shop", "one")
	push(t, r, "acme/shop", "two")
	for _, want := range []int{http.StatusAccepted, http.StatusNotFound} {
		if status, body, _ := ask(t, r, http.MethodDelete, "/v2/acme/shop/manifests/one", "", ""); status != want {
			t.Errorf("got %d %s, want %d", status, body, want)
		}
	}
	if status, _, _ := ask(t, r, http.MethodGet, "/v2/acme/shop/manifests/two", "", ""); status != http.StatusOK {
		t.Errorf("the other tag answers %d", status)
	}
}

func TestStartFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken := start(t, Config{})
	defer stop(t, taken)
	for name, c := range map[string]Config{
		"root is a file": {Root: filepath.Join(file, "x"), Listen: "127.0.0.1:0"},
		"address":        {Root: t.TempDir(), Listen: "nonsense"},
		"taken":          {Root: t.TempDir(), Listen: taken.Addr()},
	} {
		if r, err := Start(t.Context(), c); err == nil {
			t.Errorf("%s: it started at %s", name, r.Addr())
		}
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

func TestRegistryLogsToSlog(t *testing.T) {
	var out lockedBuffer
	r := start(t, Config{Log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	push(t, r, "acme/shop", "one")
	ask(t, r, http.MethodGet, "/v2/acme/shop/manifests/absent", "", "")
	stop(t, r)
	log := out.b.String()
	// Both tell that the way into distribution's logging is still there.
	for _, want := range []string{"level=DEBUG", "err.code=MANIFEST_UNKNOWN"} {
		if !strings.Contains(log, want) {
			t.Errorf("%s is not in the log:\n%s", want, log)
		}
	}
	if strings.Contains(log, "level=ERROR") {
		t.Errorf("what is not there is logged as an error:\n%s", log)
	}
}

func TestRegistryDrainsBeforeItCloses(t *testing.T) {
	r := start(t, Config{})
	status, _, header := ask(t, r, http.MethodPost, "/v2/acme/shop/blobs/uploads/", "", "")
	if status != http.StatusAccepted {
		t.Fatalf("begin an upload: %d", status)
	}
	body, feed := io.Pipe()
	// The server says to go on when its handler begins to read.
	reading := make(chan struct{})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(reading) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, header.Get("Location"), body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Expect", "100-continue")
	answered := make(chan error, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Minute}}
		answer, err := client.Do(req)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode != http.StatusAccepted {
				err = fmt.Errorf("the upload answered %s", answer.Status)
			}
		}
		answered <- err
	}()
	<-reading
	closed := make(chan error, 1)
	go func() { closed <- r.Close() }()
	feed.Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

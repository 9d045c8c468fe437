package registry

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

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

func TestRegistryLogsToSlog(t *testing.T) {
	to, out := logger()
	r := start(t, Config{Log: to})
	push(t, r, "acme/shop", "one")
	ask(t, r, http.MethodGet, "/v2/acme/shop/manifests/absent", "", "")
	stop(t, r)
	log := out.String()
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

package registry

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"vitrine/builder/registry/s3test"
)

// What the log says of an outage.
const (
	saysAway = `level=WARN msg="registry storage is away; pushes wait"`
	saysBack = `level=INFO msg="registry storage is back"`
)

// said counts lines of the log.
func said(log *lockedBuffer, line string) int { return strings.Count(log.String(), line) }

// begin begins an upload and returns the status.
func begin(t *testing.T, r *Registry) int {
	t.Helper()
	status, _, _ := ask(t, r, http.MethodPost, "/v2/acme/shop/blobs/uploads/", "", "")
	return status
}

func TestRegistryStartsWhileItsBucketIsAway(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	server.Stop()
	to, log := logger()
	r := start(t, Config{S3: inBucket(server), Log: to})
	defer stop(t, r)
	if said(log, saysAway) != 1 {
		t.Errorf("the log has not one line of the outage: %s", log)
	}
	text, _ := want(t, r, http.StatusServiceUnavailable, http.MethodGet, "/v2/_catalog", "", "")
	if !strings.Contains(text, `"code":"UNAVAILABLE"`) {
		t.Errorf("it answers %s", text)
	}
	server.Restart()
	eventually(t, "the bucket is back", func() bool { return said(log, saysBack) == 1 })
	push(t, r, "acme/shop", "one", "layer")
}

func TestRegistryOutlivesAnOutageOfItsBucket(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	to, log := logger()
	r := start(t, Config{S3: inBucket(server), Log: to})
	defer stop(t, r)
	manifest := push(t, r, "acme/shop", "one", "layer")
	for outage := 1; outage <= 2; outage++ {
		server.Stop()
		// No call says that something is not there which merely cannot be asked for.
		for _, path := range []string{"/v2/_catalog", "/v2/acme/shop/tags/list", "/v2/acme/shop/manifests/one", "/v2/acme/shop/blobs/" + digestOf("layer")} {
			if status, text, _ := ask(t, r, http.MethodGet, path, "", ""); status < http.StatusInternalServerError {
				t.Errorf("%s answers %d %s while the bucket is away", path, status, text)
			}
		}
		if status, text, _ := ask(t, r, http.MethodDelete, "/v2/acme/shop/manifests/one", "", ""); status < http.StatusInternalServerError {
			t.Errorf("a deletion answers %d %s while the bucket is away", status, text)
		}
		eventually(t, "it knows that the bucket is away", func() bool { return begin(t, r) == http.StatusServiceUnavailable })
		server.Restart()
		eventually(t, "the bucket is back", func() bool { return said(log, saysBack) == outage })
		if text, _ := want(t, r, http.StatusOK, http.MethodGet, "/v2/acme/shop/manifests/one", "", ""); text != manifest {
			t.Errorf("the manifest came back as %s", text)
		}
		push(t, r, "acme/shop", "two", "layer", "more")
		if said(log, saysAway) != outage {
			t.Errorf("after %d outages the log has %d lines of them", outage, said(log, saysAway))
		}
	}
}

func TestRegistryBoundsWhatHangs(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	to, log := logger()
	r := start(t, Config{S3: inBucket(server), Log: to})
	defer stop(t, r)
	_, header := want(t, r, http.StatusAccepted, http.MethodPost, "/v2/acme/shop/blobs/uploads/", "", "")
	server.Freeze()
	want(t, r, http.StatusServiceUnavailable, http.MethodPatch, header.Get("Location"), "application/octet-stream", "layer")
	server.Thaw()
	eventually(t, "the bucket is back", func() bool { return said(log, saysBack) == 1 })
	push(t, r, "acme/shop", "one", random(11<<20))
}

func TestRegistryStartsWhileItsBucketHangs(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	server.Freeze()
	to, log := logger()
	r := start(t, Config{S3: inBucket(server), Log: to})
	defer stop(t, r)
	server.Thaw()
	eventually(t, "the bucket is back", func() bool { return said(log, saysBack) == 1 })
	push(t, r, "acme/shop", "one", "layer")
}

func TestRegistryClosesWhileItsBucketHangs(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	r := start(t, Config{S3: inBucket(server)})
	server.Freeze()
	ended := make(chan error, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Get("http://" + r.Addr() + "/v2/_catalog")
		if err == nil {
			err = answer.Body.Close()
		}
		ended <- err
	}()
	eventually(t, "the call is under way", func() bool {
		r.gate.mu.Lock()
		defer r.gate.mu.Unlock()
		return len(r.gate.running) == 1
	})
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "drain the registry") {
		t.Errorf("it says %v of a call that it did not wait for", err)
	}
	if err := <-ended; err == nil {
		t.Error("the call was answered")
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	server.Freeze()
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if r, err := Start(ctx, Config{S3: inBucket(server), Listen: "127.0.0.1:0"}); !errors.Is(err, enough) {
		t.Errorf("got %v %v", r, err)
	}
}

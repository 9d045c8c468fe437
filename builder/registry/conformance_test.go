package registry

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vitrine/builder/registry/s3test"
)

// A requirement is on every registry, whatever keeps its files.
type requirement struct {
	name string
	hold func(*testing.T, Config)
}

var requirements = []requirement{
	{"gives back what it got", givesBack},
	{"lists repositories and tags", lists},
	{"deletes one tag of several", deletesTag},
	{"deletes a manifest", deletesManifest},
	{"keeps images over a restart", restarts},
	{"says what it has not", misses},
	{"takes an upload again", repeats},
	{"refuses other bytes than announced", refuses},
}

func conform(t *testing.T, c Config, requirements []requirement) {
	for _, r := range requirements {
		t.Run(r.name, func(t *testing.T) { r.hold(t, c) })
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	conform(t, Config{Root: t.TempDir()}, requirements)
}

func TestBucket(t *testing.T) {
	t.Parallel()
	conform(t, Config{S3: inBucket(s3test.Start(t))}, requirements)
}

func TestFolderOfABucket(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	bucket := inBucket(server)
	bucket.Prefix = "/vitrine/previews/"
	conform(t, Config{S3: bucket}, requirements[1:])
	objects := server.Objects(t.Context())
	for _, key := range objects {
		if !strings.HasPrefix(key, "vitrine/previews/docker/") {
			t.Errorf("%s lies outside the folder", key)
		}
	}
	if len(objects) == 0 {
		t.Error("the bucket is empty")
	}
}

// random returns bytes that nobody compresses, in a string.
func random(size int) string {
	b := make([]byte, size)
	source := rand.NewChaCha8([32]byte{byte(size)})
	_, _ = source.Read(b) // it never returns an error
	return string(b)
}

func givesBack(t *testing.T, c Config) {
	r := start(t, c)
	defer stop(t, r)
	// Nothing, less than a part of a multipart upload, more than one, and more than is copied in one piece.
	layers := []string{"", "small", random(11 << 20), random(33 << 20)}
	manifest := push(t, r, "acme/bytes", "one", layers...)
	for _, reference := range []string{"one", digestOf(manifest)} {
		if text, _ := want(t, r, http.StatusOK, http.MethodGet, "/v2/acme/bytes/manifests/"+reference, "", ""); text != manifest {
			t.Errorf("the manifest came back as %s", text)
		}
	}
	for _, layer := range layers {
		path := "/v2/acme/bytes/blobs/" + digestOf(layer)
		text, header := want(t, r, http.StatusOK, http.MethodGet, path, "", "")
		if text != layer {
			t.Errorf("%d bytes came back as %d others", len(layer), len(text))
		}
		if got := header.Get("Docker-Content-Digest"); got != digestOf(layer) {
			t.Errorf("the digest came back as %s", got)
		}
		want(t, r, http.StatusOK, http.MethodHead, path, "", "")
	}
}

func lists(t *testing.T, c Config) {
	r := start(t, c)
	defer stop(t, r)
	push(t, r, "acme/listed", "one")
	push(t, r, "acme/listed", "two")
	push(t, r, "listed", "one")
	text, _ := want(t, r, http.StatusOK, http.MethodGet, "/v2/_catalog", "", "")
	var catalogue struct{ Repositories []string }
	if err := json.Unmarshal([]byte(text), &catalogue); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"acme/listed", "listed"} {
		if !slices.Contains(catalogue.Repositories, name) {
			t.Errorf("%s is not in the catalogue %v", name, catalogue.Repositories)
		}
	}
	if diff := cmp.Diff([]string{"one", "two"}, tags(t, r, "acme/listed")); diff != "" {
		t.Error(diff)
	}
	// Pages come with an address for the next.
	_, header := want(t, r, http.StatusOK, http.MethodGet, "/v2/_catalog?n=1", "", "")
	if header.Get("Link") == "" {
		t.Error("a page of the catalogue names no next one")
	}
}

func tags(t *testing.T, r *Registry, name string) []string {
	t.Helper()
	text, _ := want(t, r, http.StatusOK, http.MethodGet, "/v2/"+name+"/tags/list", "", "")
	var list struct{ Tags []string }
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	slices.Sort(list.Tags)
	return list.Tags
}

func deletesTag(t *testing.T, c Config) {
	r := start(t, c)
	defer stop(t, r)
	push(t, r, "acme/shop", "one")
	push(t, r, "acme/shop", "two")
	// "one-more" begins with the name of what is deleted.
	push(t, r, "acme/shop", "one-more")
	want(t, r, http.StatusAccepted, http.MethodDelete, "/v2/acme/shop/manifests/one", "", "")
	// In a bucket, "one" seems to be there as long as something begins with it.
	if status, text, _ := ask(t, r, http.MethodDelete, "/v2/acme/shop/manifests/one", "", ""); status != http.StatusNotFound && status != http.StatusAccepted {
		t.Errorf("deleted again, it answers %d %s", status, text)
	}
	want(t, r, http.StatusNotFound, http.MethodGet, "/v2/acme/shop/manifests/one", "", "")
	for _, tag := range []string{"two", "one-more"} {
		want(t, r, http.StatusOK, http.MethodGet, "/v2/acme/shop/manifests/"+tag, "", "")
	}
	if diff := cmp.Diff([]string{"one-more", "two"}, tags(t, r, "acme/shop")); diff != "" {
		t.Error(diff)
	}
}

func deletesManifest(t *testing.T, c Config) {
	r := start(t, c)
	defer stop(t, r)
	manifest := push(t, r, "acme/gone", "one")
	push(t, r, "acme/gone", "same")
	other := push(t, r, "acme/gone", "other", "layer")
	want(t, r, http.StatusAccepted, http.MethodDelete, "/v2/acme/gone/manifests/"+digestOf(manifest), "", "")
	for _, reference := range []string{"one", "same", digestOf(manifest)} {
		want(t, r, http.StatusNotFound, http.MethodGet, "/v2/acme/gone/manifests/"+reference, "", "")
	}
	want(t, r, http.StatusOK, http.MethodGet, "/v2/acme/gone/manifests/"+digestOf(other), "", "")
	if diff := cmp.Diff([]string{"other"}, tags(t, r, "acme/gone")); diff != "" {
		t.Error(diff)
	}
	// What was deleted can be pushed again.
	push(t, r, "acme/gone", "one")
	want(t, r, http.StatusOK, http.MethodGet, "/v2/acme/gone/manifests/one", "", "")
}

func restarts(t *testing.T, c Config) {
	r := start(t, c)
	manifest := push(t, r, "acme/kept", "one", "layer")
	stop(t, r)
	r = start(t, c)
	defer stop(t, r)
	if text, _ := want(t, r, http.StatusOK, http.MethodGet, "/v2/acme/kept/manifests/one", "", ""); text != manifest {
		t.Errorf("got %s", text)
	}
	if text, _ := want(t, r, http.StatusOK, http.MethodGet, "/v2/acme/kept/blobs/"+digestOf("layer"), "", ""); text != "layer" {
		t.Errorf("got %s", text)
	}
}

func misses(t *testing.T, c Config) {
	r := start(t, c)
	defer stop(t, r)
	for _, path := range []string{
		"/v2/acme/absent/manifests/one", "/v2/acme/absent/blobs/" + digestOf("absent"),
	} {
		want(t, r, http.StatusNotFound, http.MethodGet, path, "", "")
	}
	want(t, r, http.StatusNotFound, http.MethodDelete, "/v2/acme/absent/manifests/one", "", "")
	// A bucket has no folders, so that one which was never there is an empty one.
	if status, text, _ := ask(t, r, http.MethodGet, "/v2/acme/absent/tags/list", "", ""); status != http.StatusNotFound && !strings.Contains(text, `"tags":[]`) {
		t.Errorf("its tags are %d %s", status, text)
	}
}

func repeats(t *testing.T, c Config) {
	r := start(t, c)
	defer stop(t, r)
	first := push(t, r, "acme/again", "one", "layer")
	if second := push(t, r, "acme/again", "one", "layer"); second != first {
		t.Errorf("the same image has the manifest %s, then %s", first, second)
	}
	// A tag moves to what was pushed last.
	moved := push(t, r, "acme/again", "one", "other layer")
	if text, _ := want(t, r, http.StatusOK, http.MethodGet, "/v2/acme/again/manifests/one", "", ""); text != moved {
		t.Errorf("the tag is still at %s", text)
	}
}

func refuses(t *testing.T, c Config) {
	r := start(t, c)
	defer stop(t, r)
	_, header := want(t, r, http.StatusAccepted, http.MethodPost, "/v2/acme/wrong/blobs/uploads/", "", "")
	want(t, r, http.StatusBadRequest, http.MethodPut, header.Get("Location")+"&digest="+digestOf("announced"), "application/octet-stream", "sent")
	want(t, r, http.StatusNotFound, http.MethodGet, "/v2/acme/wrong/blobs/"+digestOf("announced"), "", "")
	want(t, r, http.StatusNotFound, http.MethodGet, "/v2/acme/wrong/blobs/"+digestOf("sent"), "", "")
}

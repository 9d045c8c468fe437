package registry

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk returns a folder on a disk of one mebibyte.
func smallDisk(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root, to mount a small disk")
	}
	folder := t.TempDir()
	if err := syscall.Mount("vitrine-test", folder, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatalf("mount a small disk, which needs root: %v", err)
	}
	t.Cleanup(func() {
		// Distribution leaves the file of an upload open which it could not end on the full disk, until the garbage collector closes it.
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return folder
}

func TestRegistryTellsThatItsDiskIsFull(t *testing.T) {
	folder := smallDisk(t)
	r := start(t, Config{Root: filepath.Join(folder, "registry")})
	defer stop(t, r)
	manifest := push(t, r, "acme/shop", "one")
	_, header := want(t, r, http.StatusAccepted, http.MethodPost, "/v2/acme/shop/blobs/uploads/", "", "")
	want(t, r, http.StatusInsufficientStorage, http.MethodPatch, header.Get("Location"), "application/octet-stream", random(2<<20))
	want(t, r, http.StatusInsufficientStorage, http.MethodPost, "/v2/acme/shop/blobs/uploads/", "", "")
	if _, err := Check(t.Context(), Config{Root: filepath.Join(folder, "registry")}); err == nil || !strings.Contains(err.Error(), "free space") {
		t.Errorf("the check says %v", err)
	}
	// What is there can be read and removed.
	if text, _ := want(t, r, http.StatusOK, http.MethodGet, "/v2/acme/shop/manifests/one", "", ""); text != manifest {
		t.Errorf("the manifest came back as %s", text)
	}
	want(t, r, http.StatusAccepted, http.MethodDelete, "/v2/acme/shop/manifests/one", "", "")
}

func TestCheckOfAFolderMakesNone(t *testing.T) {
	root := filepath.Join(t.TempDir(), "deep", "registry")
	found, err := Check(t.Context(), Config{Root: root})
	if err != nil || found != "folder "+root+" can be made" {
		t.Errorf("got %q %v", found, err)
	}
	if _, err := os.Stat(filepath.Dir(root)); !os.IsNotExist(err) {
		t.Errorf("it made %s: %v", filepath.Dir(root), err)
	}
	stop(t, start(t, Config{Root: root}))
	before, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	if found, err = Check(t.Context(), Config{Root: root}); err != nil || found != "folder "+root+" can be written to" {
		t.Errorf("got %q %v", found, err)
	}
	if after, err := os.ReadDir(root); err != nil || len(after) != len(before) {
		t.Errorf("it left %v, %v", after, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{file, filepath.Join(file, "below")} {
		if found, err := Check(t.Context(), Config{Root: root}); err == nil || !strings.Contains(err.Error(), root) {
			t.Errorf("of %s it says %q %v", root, found, err)
		}
	}
}

func TestTellFullDiskLeavesOtherAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		app  http.HandlerFunc
		want int
	}{
		"full":                  {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "write x: no space left on device", 500) }, 507},
		"another error":         {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "out of luck", 500) }, 500},
		"an error of few words": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, 500},
		"a layer of such words": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("no space left on device")) }, 200},
		"nothing":               {func(http.ResponseWriter, *http.Request) {}, 200},
	} {
		w := httptest.NewRecorder()
		tellFullDisk(c.app).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Code != c.want {
			t.Errorf("%s: got %d, want %d", name, w.Code, c.want)
		}
	}
}

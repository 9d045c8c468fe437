package builder

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"vitrine/deployments"
)

// Whatever a remote does instead of giving the commit is waited out, and once it works the same mirror has the commit.
func TestFetchWaitsForItsRemote(t *testing.T) {
	refuse := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
			}
			http.Error(w, "no space left on device", status)
		}
	}
	const advertised = "application/x-git-upload-pack-advertisement"
	for name, remote := range map[string]http.HandlerFunc{
		"301": refuse(301), "401": refuse(401), "403": refuse(403), "404": refuse(404), "429": refuse(429),
		"500": refuse(500), "502": refuse(502), "503": refuse(503),
		"cut off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"no git":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"half an advertisement": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", advertised)
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "001e# service=git-upload-pack\n0000000eversion 2\n")
		},
		"an error in git's words": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", advertised)
			_, _ = io.WriteString(w, "001e# service=git-upload-pack\n0000"+"0026ERR no space left on device, sorry.")
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, b := newOrigin(t), newBuilder(t, Config{})
			sha := o.commit("refs/heads/main", map[string]string{"a": "1"})
			server := httptest.NewServer(remote)
			defer server.Close()
			for _, token := range []string{"", "sesame"} {
				_, err := b.Fetch(t.Context(), deployments.Remote{URL: server.URL + "/acme/shop.git", Token: token}, fromMain, shop(sha))
				unavailable(t, err, waitsForGitHub)
			}
			c, err := b.Fetch(t.Context(), o.file(), fromMain, shop(sha))
			check(t, err)
			check(t, c.Close())
		})
	}
}

// A pack that ends early leaves nothing in the mirror.
func TestFetchOfHalfAPack(t *testing.T) {
	o, b := newOrigin(t), newBuilder(t, Config{})
	sha := o.commit("refs/heads/main", map[string]string{"a": strings.Repeat("1", 1<<20), "b": noise(1 << 20)})
	r := o.serve(func(*http.Request) bool { return true })
	half := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		again, err := http.NewRequestWithContext(req.Context(), req.Method, strings.Replace(r.URL, "/acme/shop.git", req.URL.String(), 1), req.Body)
		if err != nil {
			t.Error(err)
			return
		}
		again.Header = req.Header
		answer, err := http.DefaultTransport.RoundTrip(again)
		if err != nil {
			t.Error(err)
			return
		}
		defer answer.Body.Close()
		for k, v := range answer.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(answer.StatusCode)
		if n, _ := io.CopyN(w, answer.Body, 500_000); n == 500_000 {
			panic(http.ErrAbortHandler)
		}
	}))
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	defer half.Close()
	_, err := b.Fetch(t.Context(), deployments.Remote{URL: half.URL + "/acme/shop.git"}, fromMain, shop(sha))
	unavailable(t, err, waitsForGitHub)
	wantNoLeftovers(t, b)
	c, err := b.Fetch(t.Context(), r, fromMain, shop(sha))
	check(t, err)
	check(t, c.Close())
}

func wantNoLeftovers(t *testing.T, b *Builder) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(b.mirrorOf("acme/shop").path, "objects", "pack", "tmp_*"))
	check(t, err)
	checkouts, err := os.ReadDir(b.config.CheckoutDir)
	check(t, err)
	if len(left) > 0 || len(checkouts) > 0 {
		t.Errorf("left are %v, %v", left, checkouts)
	}
}

// noise returns text that does not get smaller when it is packed.
func noise(size int) string {
	b := make([]byte, size)
	_, _ = rand.Read(b)
	return string(b)
}

// smallDisk mounts a disk of that many bytes for the test's time.
func smallDisk(t *testing.T, dir, size string) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root, to mount a small disk")
	}
	check(t, os.MkdirAll(dir, 0o755))
	check(t, syscall.Mount("vitrine-test", dir, "tmpfs", 0, "size="+size))
	t.Cleanup(func() { check(t, syscall.Unmount(dir, 0)) })
}

// fill writes to the disk until there is no room, and returns the file.
func fill(t *testing.T, dir string) string {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "filling"))
	check(t, err)
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	check(t, file.Close())
	return file.Name()
}

func TestFetchOntoAFullDisk(t *testing.T) {
	for name, test := range map[string]struct {
		folder string // where the disk is, in the data folder
		full   bool   // from the beginning
	}{
		"the mirrors' is full":        {"mirrors", true},
		"the mirrors' gets full":      {"mirrors", false},
		"the checkouts' is full":      {"checkouts", true},
		"the checkouts' gets full":    {"checkouts", false},
		"everything's is full at all": {".", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			disk := filepath.Join(dir, test.folder)
			smallDisk(t, disk, "8m")
			b, err := New(Config{DataDir: dir, Instance: "test", Registry: "127.0.0.1:1", AllowFiles: true})
			check(t, err)
			t.Cleanup(func() { check(t, b.Close()) })
			o := newOrigin(t)
			small := o.commit("refs/heads/main", map[string]string{"a": "1"})
			large := o.commit("refs/heads/large", map[string]string{"a": noise(5 << 20), "b": noise(5 << 20)})
			if test.full {
				file := fill(t, disk)
				_, err := b.Fetch(t.Context(), o.file(), fromMain, shop(small))
				unavailable(t, err, waitsForDisk)
				check(t, os.Remove(file))
			} else {
				_, err := b.Fetch(t.Context(), o.file(), fromMain, shop(large))
				unavailable(t, err, waitsForDisk)
			}
			wantNoLeftovers(t, b)
			c, err := b.Fetch(t.Context(), o.file(), fromMain, shop(small))
			check(t, err)
			check(t, c.Close())
		})
	}
}

func TestBuildOntoAFullDisk(t *testing.T) {
	w := newWorkshop(t)
	dir := filepath.Join(t.TempDir(), "small")
	smallDisk(t, dir, "64k")
	b := newBuilder(t, Config{Instance: w.config.Instance, Registry: w.config.Registry, CheckoutDir: dir})
	fill(t, dir)
	_, err := b.Build(t.Context(), w.request(map[string]string{"Dockerfile": "FROM scratch\n# " + strings.Repeat("x", 8192) + "\n"}, web))
	unavailable(t, err, waitsForDisk)
}

// An engineLine leads to the engine until it is cut.
type engineLine struct {
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	done     sync.WaitGroup
}

func newEngineLine(t *testing.T) *engineLine {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "engine.sock"))
	check(t, err)
	l := &engineLine{listener: listener}
	l.done.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", "/var/run/docker.sock")
			if err != nil {
				t.Error(err)
				from.Close()
				return
			}
			l.mu.Lock()
			l.conns = append(l.conns, from, to)
			l.mu.Unlock()
			for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
				l.done.Go(func() {
					_, _ = io.Copy(pair[0], pair[1])
					_ = pair[0].(*net.UnixConn).CloseWrite()
				})
			}
		}
	})
	t.Cleanup(l.cut)
	return l
}

// breakOff closes the line, and cut waits until nothing of it is left.
func (l *engineLine) breakOff() {
	_ = l.listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
}

func (l *engineLine) cut() {
	l.breakOff()
	l.done.Wait()
}

// An engine that breaks off while a step runs has not failed the step.
func TestBuildWhenTheEngineBreaksOff(t *testing.T) {
	w := newWorkshop(t)
	l := newEngineLine(t)
	b := newBuilder(t, Config{
		Instance: w.config.Instance, Registry: w.config.Registry, Rule: w.config.Rule, DockerHost: "unix://" + l.listener.Addr().String(),
	})
	req := w.request(map[string]string{"Dockerfile": "FROM " + w.base + "\nRUN --network=none [\"/tool\", \"wait\"]\n"}, web)
	var begun atomic.Bool
	var once sync.Once
	req.Log = writerFunc(func(p []byte) {
		if strings.Contains(string(p), "web | waiting") {
			begun.Store(true)
			once.Do(func() { l.done.Go(l.breakOff) })
		}
	})
	_, err := b.Build(t.Context(), req)
	l.cut()
	unavailable(t, err, waitsForEngine)
	if !begun.Load() || !strings.Contains(err.Error(), `service "web"`) {
		t.Errorf("the step had begun: %t; %v", begun.Load(), err)
	}
}

// A step that an engine killed when it went down looks like one that failed.
func TestFaultOfAnEngineThatEnded(t *testing.T) {
	failed := &deployments.Fault{Kind: deployments.FaultBuild, Reason: "`RUN x` exited 137 after 2 s"}
	b := newBuilder(t, Config{DockerHost: "tcp://127.0.0.1:1"})
	unavailable(t, b.unlessEngineEnded(t.Context(), failed), waitsForEngine)
	other := errors.New("x")
	if err := b.unlessEngineEnded(t.Context(), other); err != other {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var u *deployments.Unavailable
	if err := b.unlessEngineEnded(ctx, failed); errors.As(err, &u) {
		t.Errorf("waits for %q after its context ended", u.Neighbour)
	}
}

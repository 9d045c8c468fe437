package s3test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// startTime is how long a server may take until it answers, on a machine that is busy with other tests.
	startTime = 30 * time.Second
	// stopTime is how long a server that was told to end may take.
	stopTime = 10 * time.Second
	// ports is how many ports are tried: between its choice and its use one may be taken by somebody else.
	ports = 5
)

// A Server is one of a test's own, with one bucket. Its methods are for the test's goroutine.
type Server struct {
	// Endpoint is where it answers, "http://127.0.0.1:41234". It stays the same over Stop and Restart.
	Endpoint string
	// Region is what requests are signed for.
	Region string
	// AccessKey and SecretKey may do everything.
	AccessKey, SecretKey string
	// Bucket is there and empty after Start.
	Bucket string

	t       testing.TB
	binary  string
	folder  string
	process *exec.Cmd
	ended   chan struct{} // closed when the process is gone
	output  *output
}

// Start starts a server and returns when it answers. It ends with the test. Under -short the test is skipped; where versitygw is missing it fails.
func Start(t testing.TB) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs an S3 server")
	}
	s := &Server{
		Region: "us-east-1", AccessKey: "test-access-key", SecretKey: "test-secret-key", Bucket: "previews",
		t: t, binary: find(t), folder: t.TempDir(),
	}
	t.Cleanup(s.Stop)
	// The SDK puts the authorities of this file into the process's default HTTP client whenever one of its own is made, which is a race where tests run
	// side by side. A loopback address has no certificate.
	if err := os.Unsetenv("AWS_CA_BUNDLE"); err != nil {
		t.Fatal(err)
	}
	var err error
	for range ports {
		s.Endpoint = "http://" + freeAddress(t)
		if err = s.start(); err == nil {
			s.makeBucket()
			return s
		}
		s.Stop()
	}
	t.Fatal(err)
	return nil
}

// Stop ends the server; connections to it are refused from then on. Its objects stay. Stopping a stopped one does nothing.
func (s *Server) Stop() {
	s.t.Helper()
	if s.process == nil {
		return
	}
	// What is frozen would not hear of its end.
	s.signal(syscall.SIGCONT)
	s.signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(stopTime):
		s.signal(syscall.SIGKILL)
		<-s.ended
	}
	s.process = nil
}

// Restart starts a stopped server again, at the same address and with the objects that it had. One that runs is stopped before.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

// Freeze makes the server hang: connections are accepted by the system, and nothing is answered until Thaw. It returns when that is so.
func (s *Server) Freeze() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	for deadline := time.Now().Add(stopTime); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		_, err := s.ask(ctx)
		cancel()
		if err != nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the S3 server does not freeze")
		}
	}
}

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

// signal sends a signal to the process. One that is gone already needs none.
func (s *Server) signal(signal os.Signal) {
	select {
	case <-s.ended:
	default:
		_ = s.process.Process.Signal(signal)
	}
}

// start runs the server and waits until it answers.
func (s *Server) start() error {
	s.output = &output{}
	objects, metadata := filepath.Join(s.folder, "objects"), filepath.Join(s.folder, "metadata")
	for _, folder := range []string{objects, metadata} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("make the S3 server's folder: %w", err)
		}
	}
	address := strings.TrimPrefix(s.Endpoint, "http://")
	// Metadata in files of their own, since not every filesystem for temporary files has extended attributes.
	s.process = exec.Command(s.binary, "--port", address, "--region", s.Region, "--quiet", "posix", "--sidecar", metadata, "--", objects)
	s.process.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+s.AccessKey, "ROOT_SECRET_ACCESS_KEY="+s.SecretKey)
	s.process.Stdout, s.process.Stderr = s.output, s.output
	s.process.SysProcAttr = diesWithParent()
	if err := s.process.Start(); err != nil {
		s.process = nil
		return fmt.Errorf("start the S3 server: %w", err)
	}
	s.ended = make(chan struct{})
	go func(process *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = process.Wait() // its output tells more than its status
	}(s.process, s.ended)
	return s.await()
}

// await waits until the server answers or is gone.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for {
		// Somebody else may have taken the port meanwhile.
		if by, err := s.ask(ctx); err == nil && strings.EqualFold(by, "versitygw") {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("the S3 server ended: %s", s.output)
		case <-ctx.Done():
			return fmt.Errorf("the S3 server does not answer at %s: %s", s.Endpoint, s.output)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ask asks the server without keys, and returns what it calls itself.
func (s *Server) ask(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint, nil)
	if err != nil {
		return "", fmt.Errorf("ask the S3 server: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask the S3 server: %w", err)
	}
	return answer.Header.Get("Server"), answer.Body.Close()
}

// find returns the server's program, in PATH or where `go install` puts it.
func find(t testing.TB) string {
	t.Helper()
	const name = "versitygw"
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	out, err := exec.Command("go", "env", "GOBIN", "GOPATH").Output()
	if err != nil {
		t.Fatalf("ask go where it installs programs: %v", err)
	}
	bin, paths, _ := strings.Cut(strings.TrimRight(string(out), "\n"), "\n")
	folders := []string{bin}
	for _, path := range filepath.SplitList(paths) {
		folders = append(folders, filepath.Join(path, "bin"))
	}
	for _, folder := range folders {
		if path, err := exec.LookPath(filepath.Join(folder, name)); folder != "" && err == nil {
			return path
		}
	}
	t.Fatalf("%s is neither in PATH nor where go installs programs: run .ci/prepare test", name)
	return ""
}

// freeAddress returns a loopback address that nobody listened at a moment ago.
func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// output keeps what the server prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Package redistest starts real Redis servers for tests, which may be stopped and started again.
package redistest

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"vitrine/proxyroutes"
)

// patience bounds how long a server may take to answer.
const patience = 30 * time.Second

// A Server is a redis-server in a process of its own, on a loopback port that it keeps. Its methods fail the test where something goes wrong. They
// are not safe to call side by side, and belong to the test's own goroutine.
type Server struct {
	tb       testing.TB
	port     int
	password string    // empty for none
	dir      string    // what it keeps on disk
	process  *exec.Cmd // nil while it is stopped
	exited   chan error
	said     *bytes.Buffer // what the process printed; to be read once it has exited
}

// An Option changes the server that Start starts.
type Option func(*Server)

// WithPassword has the server ask for a password, of letters and digits.
func WithPassword(password string) Option { return func(s *Server) { s.password = password } }

// Start starts a server and ends it with the test. It skips a test that is to be short, and fails one where there is no redis-server.
func Start(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	if testing.Short() {
		tb.Skip("starts a redis-server")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{tb: tb, port: listener.Addr().(*net.TCPAddr).Port, dir: tb.TempDir()}
	for _, o := range options {
		o(s)
	}
	if err := listener.Close(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Stop)
	s.start()
	return s
}

// URL returns the server's address, "redis://127.0.0.1:<port>" or "redis://:<password>@127.0.0.1:<port>", which it keeps when it is started again.
func (s *Server) URL() string {
	u := url.URL{Scheme: "redis", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))}
	if s.password != "" {
		u.User = url.UserPassword("", s.password)
	}
	return u.String()
}

// Stop ends the server as kill -9 does: its connections break and new ones are refused. What it had confirmed is there after a Restart. A server that
// is stopped stays so.
func (s *Server) Stop() {
	s.tb.Helper()
	if s.process == nil {
		return
	}
	if err := s.process.Process.Kill(); err != nil {
		s.tb.Errorf("kill redis-server: %v", err)
	}
	<-s.exited
	s.process = nil
}

// Restart starts the server again at the same address, stopping it before where it runs, and returns once it answers: with what it had, or empty, as
// one that has replaced it.
func (s *Server) Restart(empty bool) {
	s.tb.Helper()
	s.Stop()
	if empty {
		kept, err := filepath.Glob(filepath.Join(s.dir, "*"))
		if err != nil {
			s.tb.Fatal(err)
		}
		for _, path := range kept {
			if err := os.RemoveAll(path); err != nil {
				s.tb.Fatal(err)
			}
		}
	}
	s.start()
}

func (s *Server) start() {
	s.tb.Helper()
	// What is appended is written before the answer, so that it outlives the process; only the machine's own end would need fsync.
	s.process = exec.Command("redis-server", "--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "no", "--requirepass", s.password)
	s.said = &bytes.Buffer{}
	s.process.Stdout, s.process.Stderr = s.said, s.said
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		s.process = nil
		s.tb.Fatalf("this test needs a redis-server: %v", err)
	}
	s.exited = make(chan error, 1)
	go func(p *exec.Cmd, exited chan<- error) { exited <- p.Wait() }(s.process, s.exited)
	s.awaitAnswer()
}

// awaitAnswer waits until the server takes commands.
func (s *Server) awaitAnswer() {
	s.tb.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := proxyroutes.Ping(context.Background(), s.URL())
		if err == nil {
			return
		}
		select {
		case err := <-s.exited:
			s.process = nil
			s.tb.Fatalf("redis-server ended: %v\n%s", err, s.said)
		default:
		}
		if time.Now().After(deadline) {
			s.tb.Fatalf("redis-server does not answer after %s: %v", patience, err)
		}
	}
}

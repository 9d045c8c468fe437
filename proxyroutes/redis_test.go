package proxyroutes_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"vitrine/proxyroutes/embeddedredis"
)

// A redisServer is a real one, on a port of its own, that keeps nothing on disk unless its arguments say so.
type redisServer struct {
	t       *testing.T
	port    int
	dir     string
	args    []string
	roots   *x509.CertPool // for TLS
	process *exec.Cmd
}

func startRedis(t *testing.T, args ...string) *redisServer {
	t.Helper()
	s := newRedis(t, args...)
	s.start()
	return s
}

// newRedis returns a server that does not run yet.
func newRedis(t *testing.T, args ...string) *redisServer {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a redis-server")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &redisServer{t: t, port: listener.Addr().(*net.TCPAddr).Port, dir: t.TempDir(), args: args}
	listener.Close()
	t.Cleanup(s.kill)
	return s
}

// startRedisTLS starts a server that speaks TLS only, with a certificate of an authority of its own.
func startRedisTLS(t *testing.T, args ...string) *redisServer {
	t.Helper()
	s := newRedis(t)
	var authority, certificate, key string
	s.roots, authority, certificate, key = makeCertificate(t, s.dir)
	s.args = append([]string{"--tls-port", strconv.Itoa(s.port), "--port", "0", "--tls-auth-clients", "no",
		"--tls-ca-cert-file", authority, "--tls-cert-file", certificate, "--tls-key-file", key}, args...)
	s.start()
	return s
}

func (s *redisServer) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// url returns the server's URL; userinfo is "user:password@" or empty, database a number or empty.
func (s *redisServer) url(parts ...string) string {
	scheme, userinfo, database := "redis", "", ""
	if s.roots != nil {
		scheme = "rediss"
	}
	if len(parts) > 0 {
		userinfo = parts[0]
	}
	if len(parts) > 1 {
		database = "/" + parts[1]
	}
	return scheme + "://" + userinfo + s.address() + database
}

// start starts the server and waits until it says something, be it that it wants a password.
func (s *redisServer) start() {
	s.t.Helper()
	s.launch()
	eventually(s.t, "redis-server answers", func() bool {
		c, err := net.Dial("tcp", s.address())
		if err != nil {
			return false
		}
		defer c.Close()
		if s.roots != nil {
			return true // it may want a certificate before it says anything
		}
		if _, err := io.WriteString(c, "PING\r\n"); err != nil {
			return false
		}
		answer, err := bufio.NewReader(c).ReadString('\n')
		return err == nil && !strings.HasPrefix(answer, "-LOADING")
	})
}

// launch starts the server.
func (s *redisServer) launch() {
	s.t.Helper()
	args := append([]string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir}, s.args...)
	s.process = exec.Command("redis-server", args...)
	if err := s.process.Start(); err != nil {
		s.t.Fatalf("these tests need a redis-server: %v", err)
	}
}

func (s *redisServer) kill() {
	if s.process == nil {
		return
	}
	if err := s.process.Process.Kill(); err != nil {
		s.t.Errorf("kill redis-server: %v", err)
	}
	_ = s.process.Wait() // says that it was killed
	s.process = nil
}

// makeCertificate makes an authority and a certificate of its for 127.0.0.1, and returns the files.
func makeCertificate(t *testing.T, dir string) (roots *x509.CertPool, authority, certificate, key string) {
	t.Helper()
	sign := func(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if parent == nil {
			parent, parentKey = template, own
		}
		raw, err := x509.CreateCertificate(rand.Reader, template, parent, &own.PublicKey, parentKey)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(raw)
		if err != nil {
			t.Fatal(err)
		}
		return c, own
	}
	write := func(name, kind string, raw []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	template := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
	}
	rootTemplate := template(1, "an authority of the test's")
	rootTemplate.IsCA, rootTemplate.BasicConstraintsValid, rootTemplate.KeyUsage = true, true, x509.KeyUsageCertSign
	root, rootKey := sign(rootTemplate, nil, nil)
	leafTemplate := template(2, "redis")
	leafTemplate.IPAddresses, leafTemplate.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf, leafKey := sign(leafTemplate, root, rootKey)
	encoded, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(root)
	return roots, write("ca.pem", "CERTIFICATE", root.Raw), write("cert.pem", "CERTIFICATE", leaf.Raw), write("key.pem", "PRIVATE KEY", encoded)
}

func startEmbedded(t *testing.T) string {
	t.Helper()
	s, err := embeddedredis.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the embedded Redis: %v", err)
		}
	})
	return s.URL()
}

func client(t *testing.T, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(options)
	t.Cleanup(func() { c.Close() })
	return c
}

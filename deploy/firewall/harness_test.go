//go:build linux

package firewall_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/builder"
	"vitrine/deploy"
	"vitrine/deploy/docker"
	"vitrine/deploy/firewall"
	"vitrine/deployments"
)

const patience = time.Minute

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func random() string {
	b := make([]byte, 4)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// program is testdata/reach, compiled once.
var program = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "vitrine-reach")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "reach")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./testdata/reach")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build testdata/reach: %w: %s", err, out)
	}
	return os.ReadFile(path)
})

// A site is an instance on an engine, with the image of testdata/reach.
type site struct {
	*testing.T
	instance string
	pool     netip.Prefix
	image    string // has /reach
	runtime  *docker.Runtime
	builder  *builder.Builder

	namespace *os.File // the network namespace that the test began in
}

// newSite makes an instance on the engine of that address, the machine's if it is empty. At the end of the test nothing is left of it, nor of its rules.
func newSite(t *testing.T, engine string) *site {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root and a Docker engine")
	}
	s := &site{T: t, instance: "test" + random(), pool: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 215, byte(mathrand.IntN(256)), 0}), 24)}
	s.image = "vitrine-" + s.instance + "-reach:1"
	rule := deployments.ImageRule{Trusted: []string{"vitrine-" + s.instance + "-reach:*"}}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	var err error
	s.namespace, err = os.Open("/proc/thread-self/ns/net")
	check(t, err)
	t.Cleanup(func() { check(t, s.namespace.Close()) })
	s.runtime, err = docker.New(docker.Config{Host: engine, Instance: s.instance, Rule: rule, Log: log})
	check(t, err)
	t.Cleanup(func() { check(t, s.runtime.Close()) })
	s.builder, err = builder.New(builder.Config{DataDir: t.TempDir(), DockerHost: engine, Instance: s.instance, Registry: "127.0.0.1:1", Rule: rule, Log: log})
	check(t, err)
	t.Cleanup(func() { check(t, s.builder.Close()) })
	s.importImage()
	t.Cleanup(func() {
		left, err := s.runtime.Inventory(context.Background())
		check(t, err)
		for _, id := range left.Deployments {
			check(t, s.runtime.Down(context.Background(), id))
		}
		if out, err := s.nft("delete", "table"); err != nil && !strings.Contains(out, "No such file") {
			t.Errorf("nft: %v: %s", err, out)
		}
	})
	return s
}

// nft runs the nft command on the site's table, in the network namespace that the test began in.
func (s *site) nft(args ...string) (string, error) {
	s.Helper()
	in := fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), s.namespace.Fd())
	out, err := exec.Command("nsenter", slices.Concat([]string{in, "nft"}, args, []string{"inet", "vitrine_" + s.instance})...).CombinedOutput()
	return string(out), err
}

func (s *site) importImage() {
	s.Helper()
	content, err := program()
	check(s.T, err)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	check(s.T, w.WriteHeader(&tar.Header{Name: "reach", Mode: 0o755, Size: int64(len(content))}))
	_, err = w.Write(content)
	check(s.T, err)
	check(s.T, w.Close())
	check(s.T, s.builder.Import(s.Context(), s.image, &archive))
	s.Cleanup(func() { check(s.T, s.builder.RemoveImported(context.Background(), s.image)) })
}

// program returns how the firewall runs itself.
func (s *site) program(context.Context) (firewall.Program, error) {
	return firewall.Program{Image: s.image, Command: []string{"/reach"}}, nil
}

// firewall returns one of the site that was not put up yet.
func (s *site) firewall(change func(*firewall.Config)) *firewall.Firewall {
	c := firewall.Config{
		Instance: s.instance, Pool: s.pool, Engine: s.runtime, Builder: s.builder, Program: s.program, Log: slog.New(slog.NewTextHandler(s.Output(), nil)),
	}
	if change != nil {
		change(&c)
	}
	return firewall.New(c)
}

// A preview is a deployment of two services, web and db, that answer at port 8080.
type preview struct {
	*site
	addresses map[string]string // of the services
	gateway   string
}

// preview brings up the deployment of a number.
func (s *site) preview(number int64) *preview {
	s.Helper()
	occupied, err := s.runtime.Occupied(s.Context())
	check(s.T, err)
	d := deployments.Deployment{ID: number}
	d.Subnet, err = deployments.FreeSubnet(s.pool, occupied)
	check(s.T, err)
	stack := deploy.Stack{}
	for _, name := range []string{"web", "db"} {
		stack.Services = append(stack.Services, deploy.Service{
			Name: name, Image: s.image, Entrypoint: []string{"/reach"}, Command: []string{"serve", ":8080"}, Port: 8080, Public: true,
		})
	}
	text, err := json.Marshal(stack)
	check(s.T, err)
	check(s.T, s.runtime.Prepare(s.Context(), d))
	plan, err := s.runtime.Plan(s.Context(), deployments.PlanRequest{Environment: deployments.Environment{Name: "shop"}, Deployment: d, Stack: deployments.Stack{JSON: text}})
	check(s.T, err)
	backends, err := s.runtime.Up(s.Context(), d, deployments.Start{Plan: plan, Dir: s.TempDir()})
	check(s.T, err)
	p := &preview{site: s, addresses: make(map[string]string), gateway: d.Subnet.Addr().Next().String()}
	for _, b := range backends {
		p.addresses[b.Service] = strings.TrimPrefix(b.URL, "http://")
	}
	return p
}

// reaches returns which of the targets the preview's web service reaches. The question itself comes from the host, and has to be answered.
func (p *preview) reaches(targets []string) []string {
	p.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	answer, err := client.Get("http://" + p.addresses["web"] + "/try?" + url.Values{"to": targets}.Encode())
	check(p.T, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	check(p.T, err)
	return strings.Fields(string(text))
}

// An outside is a network namespace that the host reaches through a pair of interfaces. Everything in it answers at ports 53 and 80.
type outside struct {
	private, allowed, resolver, public string // addresses
}

// metadata is where clouds tell a machine its secrets.
const metadata = "169.254.169.254"

// newOutside makes an outside. back are networks that it answers to without translation.
func newOutside(s *site, back ...string) *outside {
	s.Helper()
	id, third := random(), mathrand.IntN(200)
	near, far, namespace := "vn"+id, "vf"+id, "vitrine-"+id
	in := func(host int) string { return fmt.Sprintf("10.216.%d.%d", third, host) }
	o := &outside{private: in(2), allowed: in(3), resolver: in(4), public: fmt.Sprintf("198.51.100.%d", third+1)}
	s.ip("netns", "add", namespace)
	s.Cleanup(func() { s.ip("netns", "delete", namespace) })
	s.ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", namespace)
	s.Cleanup(func() { exec.Command("ip", "link", "delete", near).Run() }) // it goes with the namespace, which may take a moment
	s.ip("address", "add", in(1)+"/24", "dev", near)
	s.ip("link", "set", near, "up")
	for _, address := range []string{o.private + "/24", o.allowed + "/24", o.resolver + "/24", o.public + "/32", metadata + "/32"} {
		s.ip("-n", namespace, "address", "add", address, "dev", far)
	}
	s.ip("-n", namespace, "link", "set", far, "up")
	s.ip("-n", namespace, "link", "set", "lo", "up")
	for _, network := range back {
		s.ip("-n", namespace, "route", "add", network, "via", in(1))
	}
	for _, address := range []string{o.public, metadata} {
		s.ip("route", "add", address+"/32", "via", o.private)
	}
	path := filepath.Join(s.TempDir(), "reach")
	content, err := program()
	check(s.T, err)
	check(s.T, os.WriteFile(path, content, 0o700))
	arguments := []string{"netns", "exec", namespace, path, "serve"}
	for _, address := range []string{o.private, o.allowed, o.resolver, o.public, metadata} {
		arguments = append(arguments, address+":53", address+":80")
	}
	serve := exec.Command("ip", arguments...)
	check(s.T, serve.Start())
	s.Cleanup(func() {
		check(s.T, serve.Process.Kill())
		_ = serve.Wait() // it was killed
	})
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.DialTimeout("tcp", metadata+":80", time.Second)
		if err == nil {
			check(s.T, conn.Close())
			return o
		}
		if time.Now().After(deadline) {
			s.Fatalf("what is outside does not answer: %v", err)
		}
	}
}

func (s *site) ip(args ...string) {
	s.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		s.Errorf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// listen has this process listen on every address of the host, and returns the port.
func (s *site) listen() int {
	s.Helper()
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	check(s.T, err)
	s.Cleanup(func() { listener.Close() })
	return listener.Addr().(*net.TCPAddr).Port
}

// hostAddresses returns some addresses of this host, outside of the pools of previews.
func (s *site) hostAddresses() (addresses []string) {
	s.Helper()
	view, err := firewall.Look()
	check(s.T, err)
	for _, a := range view.Addresses {
		if a.As4()[0] != 10 {
			addresses = append(addresses, a.String())
		}
	}
	if len(addresses) == 0 {
		s.Fatal("the host has no address")
	}
	return addresses[:min(len(addresses), 4)]
}

// without returns what is in all and not in some, in order.
func without(all, some []string) []string {
	left := slices.DeleteFunc(slices.Clone(all), func(x string) bool { return slices.Contains(some, x) })
	slices.Sort(left)
	return left
}

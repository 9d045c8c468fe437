package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/pkg/stdcopy"

	"vitrine/deploy"
)

// With the firewall on, a pull request becomes a preview that answers, and what runs in it does not reach this machine. The rules outlast the server, and
// go when it starts with the firewall off; of the probes nothing is left.
func TestFirewallOfServe(t *testing.T) {
	w := newWorld(t, "VITRINE_FIREWALL=on", "VITRINE_FIREWALL_BUILDS=off") // builds of other tests share the engine's default network
	w.static = true
	rules := func() string {
		// Where there is no such table the command fails, and prints nothing of it.
		out, _ := exec.Command("nft", "list", "table", "inet", "vitrine_"+w.instance()).Output()
		return string(out)
	}
	w.start()
	t.Cleanup(func() { exec.Command("nft", "delete", "table", "inet", "vitrine_"+w.instance()).Run() }) // for a test that ends early
	s := w.story()
	w.must(s.open(t.Context()))
	if up := rules(); !strings.Contains(up, deploy.BridgePrefix(w.instance())) {
		t.Fatalf("the rules are %q", up)
	}
	objects, err := w.left(t.Context())
	w.must(err)
	if strings.Contains(strings.Join(objects, " "), deploy.BridgePrefix(w.instance())+"0") {
		t.Errorf("the probe left something: %q", objects)
	}
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	w.must(err)
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).AddrPort().Port()
	reached, tried := w.probe(port)
	if len(tried) == 0 || len(reached) > 0 {
		t.Errorf("of %v a preview reaches %v", tried, reached)
	}
	w.stop()
	if rules() == "" {
		t.Error("the rules went with the server")
	}
	w.env = append(w.env, "VITRINE_FIREWALL=off")
	w.start()
	w.eventually("the preview answers", func() bool {
		status, _, err := s.get(t.Context(), "shop-pr-1")
		return err == nil && status == http.StatusOK
	})
	if left := rules(); left != "" {
		t.Errorf("with the firewall off the rules are %q", left)
	}
	if reached, _ := w.probe(port); len(reached) == 0 {
		t.Error("with the firewall off nothing is in reach either")
	}
	w.stop()
}

// probe returns which addresses of this machine a container of the preview's reaches at the port, and which were tried.
func (w *world) probe(port uint16) (reached, tried []netip.AddrPort) {
	w.Helper()
	engine := w.docker()
	found, err := engine.ContainerList(w.Context(), container.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", deploy.LabelInstance+"="+w.instance()), filters.Arg("label", deploy.LabelService+"=web"))})
	w.must(err)
	if len(found) != 1 {
		w.Fatalf("web has %d containers", len(found))
	}
	for _, n := range found[0].NetworkSettings.Networks {
		tried = append(tried, netip.AddrPortFrom(netip.MustParseAddr(n.Gateway), port))
	}
	command := []string{"/vitrine", "firewall", "probe"}
	for _, t := range tried {
		command = append(command, t.String())
	}
	made, err := engine.ContainerExecCreate(w.Context(), found[0].ID, container.ExecOptions{Cmd: command, AttachStdout: true})
	w.must(err)
	stream, err := engine.ContainerExecAttach(w.Context(), made.ID, container.ExecAttachOptions{})
	w.must(err)
	defer stream.Close()
	var out bytes.Buffer
	_, err = stdcopy.StdCopy(&out, io.Discard, stream.Reader)
	w.must(err)
	w.must(json.Unmarshal(out.Bytes(), &reached))
	return reached, tried
}

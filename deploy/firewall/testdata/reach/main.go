// Command reach is what the tests of package firewall run in containers, builds and network namespaces.
//
//	reach look|apply POLICY|remove INSTANCE|probe ADDRESS...  as a firewall.Program does
//	reach serve ADDRESS...                                    answers on each, over TCP and UDP; GET /try?to=TARGET does what try does
//	reach try TARGET...                                       tcp:ADDRESS, udp:ADDRESS or name:HOST; prints the ones that are in reach, one a line
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"vitrine/deploy/firewall"
)

func main() {
	answer, err := run(os.Args[1], os.Args[2:])
	if err == nil && answer != nil {
		err = json.NewEncoder(os.Stdout).Encode(answer)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(command string, args []string) (any, error) {
	switch command {
	case "look":
		return firewall.Look()
	case "apply":
		var p firewall.Policy
		if err := json.Unmarshal([]byte(args[0]), &p); err != nil {
			return nil, err
		}
		return firewall.Apply(p)
	case "remove":
		return nil, firewall.Remove(args[0])
	case "probe":
		var targets []netip.AddrPort
		for _, a := range args {
			targets = append(targets, netip.MustParseAddrPort(a))
		}
		return firewall.Probe(context.Background(), targets)
	case "serve":
		return nil, serve(args)
	case "try":
		try(os.Stdout, args)
		return nil, nil
	}
	return nil, errors.New("unknown command " + command)
}

// try prints the targets that are in reach.
func try(to io.Writer, targets []string) {
	found := make([]bool, len(targets))
	var trying sync.WaitGroup
	for i, target := range targets {
		trying.Go(func() { found[i] = reached(target) })
	}
	trying.Wait()
	for i, target := range targets {
		if found[i] {
			fmt.Fprintln(to, target)
		}
	}
}

func serve(addresses []string) error {
	http.HandleFunc("GET /try", func(w http.ResponseWriter, r *http.Request) {
		try(w, r.URL.Query()["to"])
	})
	failed := make(chan error)
	for _, address := range addresses {
		packets, err := net.ListenPacket("udp4", address)
		if err != nil {
			return err
		}
		go echo(packets)
		go func() { failed <- http.ListenAndServe(address, nil) }()
	}
	return <-failed
}

func echo(packets net.PacketConn) {
	var b [64]byte
	for {
		n, from, err := packets.ReadFrom(b[:])
		if err != nil {
			return
		}
		packets.WriteTo(b[:n], from)
	}
}

// reached reports whether somebody answers there, be it that nobody listens.
func reached(target string) bool {
	network, address, _ := strings.Cut(target, ":")
	if network == "name" {
		_, err := net.LookupHost(address)
		return err == nil
	}
	conn, err := net.DialTimeout(network+"4", address, 2*time.Second)
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	defer conn.Close()
	if network == "tcp" {
		return true
	}
	conn.SetDeadline(time.Now().Add(2 * time.Second))
	fmt.Fprint(conn, "hello")
	_, err = conn.Read(make([]byte, 64))
	return err == nil
}

package docker

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	listenState  = "0A" // TCP_LISTEN of Linux, as /proc/net/tcp shows it (proc_net(5))
	lookTimeout  = 2 * time.Second
	maxListeners = 5
)

// elsewhere returns where the service listens instead, as the end of a sentence, or nothing where that is not to be found out.
func (s *start) elsewhere(ctx context.Context, svc *service) string {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var local, other []string
	for _, at := range listeners(s.socketTables(ctx, svc)) {
		switch {
		case int(at.Port()) == svc.Port && at.Addr().IsLoopback():
			local = append(local, at.String())
		case !at.Addr().IsLoopback():
			other = append(other, strconv.Itoa(int(at.Port())))
		}
	}
	other = slices.Compact(other)
	switch {
	case len(local) > 0:
		return fmt.Sprintf("; it listens on %s only, which nobody outside the container reaches: let it listen on 0.0.0.0", local[0])
	case len(other) > 0:
		return fmt.Sprintf("; it listens on port %s: name the right one in .vitrine.yml, under services, %s, port",
			strings.Join(other[:min(len(other), maxListeners)], ", "), svc.Service)
	default:
		return ""
	}
}

// socketTables returns the container's tables of TCP sockets: as this host shows them where the engine runs here and we may look, else as the
// container's own cat does.
func (s *start) socketTables(ctx context.Context, svc *service) []byte {
	if found, err := s.client.ContainerInspect(ctx, svc.id); err == nil && found.State != nil {
		if tables := hostTables(found.State.Pid, svc.id); tables != nil {
			return tables
		}
	}
	_, output, err := s.exec(ctx, svc.id, []string{"cat", "/proc/net/tcp", "/proc/net/tcp6"}, nil)
	if err != nil {
		s.log.Debug("sockets of a container cannot be listed", "container", svc.Name, "error", err)
		return nil
	}
	return output
}

// hostTables reads the tables of the process, if it is the container's: the engine may run on another machine, where the number means another process.
func hostTables(pid int, id string) []byte {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	groups, err := os.ReadFile(filepath.Join(proc, "cgroup"))
	if err != nil || !bytes.Contains(groups, []byte(id)) {
		return nil
	}
	var tables []byte
	for _, name := range []string{"tcp", "tcp6"} {
		table, err := os.ReadFile(filepath.Join(proc, "net", name))
		if err == nil {
			tables = append(tables, table...)
		}
	}
	return tables
}

// listeners returns the addresses that a table of sockets shows as listened on, in order. Lines that are none of a table are passed over.
func listeners(tables []byte) []netip.AddrPort {
	var found []netip.AddrPort
	for lines := bufio.NewScanner(bytes.NewReader(tables)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[3] != listenState {
			continue
		}
		if at, ok := socketAddress(fields[1]); ok {
			found = append(found, at)
		}
	}
	slices.SortFunc(found, func(a, b netip.AddrPort) int { return cmp.Or(cmp.Compare(a.Port(), b.Port()), a.Compare(b)) })
	return slices.Compact(found)
}

// socketAddress reads "0100007F:1F90": an address in words of the machine's byte order (little-endian on what we run on), and a port.
func socketAddress(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	if !ok {
		return netip.AddrPort{}, false
	}
	b, err := hex.DecodeString(host)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], binary.LittleEndian.Uint32(b[i:]))
	}
	addr, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), ok
}

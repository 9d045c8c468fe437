package enginetest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net"

	"golang.org/x/sys/unix"
)

// bridge returns the name of the engine's default bridge. An engine that is told to have none removes docker0, whoever that belongs to (moby,
// daemon_unix.go, removeDefaultBridgeInterface), and one that has a name of its own wants the bridge to be there.
func (e *Engine) bridge() string {
	h := fnv.New32a()
	h.Write([]byte(e.dir))
	return fmt.Sprintf("vtest%08x", h.Sum32())
}

// makeBridge makes the default bridge. The engine gives it an address.
func (e *Engine) makeBridge() error { return changeBridge(e.bridge(), unix.SIOCBRADDBR) }

// removeBridge takes a bridge down and removes it, if it is there.
func removeBridge(name string) error {
	if _, err := net.InterfaceByName(name); err != nil {
		return nil
	}
	return changeBridge(name, unix.SIOCSIFFLAGS, unix.SIOCBRDELBR)
}

// changeBridge sends requests about one bridge, without flags, to the kernel (linux/if_bridge.h, netdevice(7)).
func changeBridge(name string, requests ...uint) (err error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket for bridge %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, unix.Close(socket)) }()
	for _, request := range requests {
		about, err := unix.NewIfreq(name)
		if err == nil {
			err = unix.IoctlIfreq(socket, request, about)
		}
		if err != nil {
			return fmt.Errorf("change bridge %s: %w", name, err)
		}
	}
	return nil
}

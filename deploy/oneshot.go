package deploy

import "net/netip"

// OneShotDeployment is the number that the objects of one-shots carry as their deployment's. No deployment has it, so that a sweep removes what a killed
// server left of one.
const OneShotDeployment = 0

// A OneShot is a program that runs in a container until it ends, for the server itself and beside all deployments. It has no capabilities and cannot write to
// its file system.
type OneShot struct {
	Image   string   // by its name on the engine; nothing is pulled
	Command []string // absolute path and arguments
	// Subnet is that of a network of its own, made and removed with it, as a deployment's is. The zero value: it is in the engine's own network
	// namespace, the host's.
	Subnet netip.Prefix
	// NetAdmin gives it the capability to change the network that it is in.
	NetAdmin bool
}

// A Bridge is the engine's default network, in which builds run.
type Bridge struct {
	// Name is the interface's; empty where the engine has no default network.
	Name string
	// Foreign are the names of the running containers in it that are not this instance's.
	Foreign []string
}

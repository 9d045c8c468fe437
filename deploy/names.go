package deploy

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// The labels of everything that Vitrine makes on an engine. A network has the first two only, as it is made before more is known. What belongs to an
// environment's state has LabelState in place of LabelDeployment.
const (
	LabelInstance    = "vitrine.instance"
	LabelDeployment  = "vitrine.deployment"
	LabelState       = "vitrine.state"
	LabelEnvironment = "vitrine.environment"
	LabelService     = "vitrine.service" // of containers
	LabelJob         = "vitrine.job"     // of containers that run a job of the service: its number
	LabelConfig      = "vitrine.config"  // of containers: the hash of their Spec
)

// dynamicBits is the prefix length of the end of a subnet that is left to the engine.
const dynamicBits = 30

// bridgeDigits is how many characters a bridge's name has for its deployment: 2.1 billion of them.
const bridgeDigits = 6

// BridgePrefix returns what the names of the networks of an instance, and of their bridges, begin with, and those of no other instance: "vt-" and six
// hexadecimal digits. The firewall knows by it which packets are for its rules. What follows is the number of the deployment in base 36; an
// interface's name has 15 characters at most (IFNAMSIZ of Linux).
func BridgePrefix(instance string) string {
	sum := sha256.Sum256([]byte(instance))
	return "vt-" + hex.EncodeToString(sum[:3])
}

// NewNetwork returns the network of a deployment in an IPv4 subnet that is its own. The same arguments give the same network.
func NewNetwork(instance string, deployment int64, subnet netip.Prefix) (Network, error) {
	if !subnet.IsValid() || !subnet.Addr().Is4() || subnet.Bits() > dynamicBits-1 {
		return Network{}, fmt.Errorf("plan network of deployment %d: %s is no IPv4 network of eight addresses or more", deployment, subnet)
	}
	if instance == "" {
		return Network{}, errors.New("plan network: the instance has no name")
	}
	number := strconv.FormatInt(deployment, 36)
	if deployment < 0 || len(number) > bridgeDigits {
		return Network{}, fmt.Errorf("plan network of deployment %d: bridges are counted to %d digits of base 36", deployment, bridgeDigits)
	}
	subnet = subnet.Masked()
	return Network{
		Name:    BridgePrefix(instance) + number,
		Subnet:  subnet,
		Gateway: subnet.Addr().Next(),
		Dynamic: netip.PrefixFrom(offset(subnet.Addr(), 1<<(32-subnet.Bits())-1<<(32-dynamicBits)), dynamicBits),
		Labels:  labels(instance, deployment),
	}, nil
}

// address returns the i-th address for a container, counted from 0, and whether there is one.
func (n Network) address(i int) (netip.Addr, bool) {
	addr := offset(n.Gateway, uint32(i)+1)
	return addr, n.Subnet.Contains(addr) && addr.Less(n.Dynamic.Addr())
}

func offset(addr netip.Addr, by uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(addr.AsSlice())+by)
	return netip.AddrFrom4(b)
}

func stateLabels(instance string, state int64) map[string]string {
	return map[string]string{LabelInstance: instance, LabelState: strconv.FormatInt(state, 10)}
}

func labels(instance string, deployment int64) map[string]string {
	return map[string]string{LabelInstance: instance, LabelDeployment: strconv.FormatInt(deployment, 10)}
}

// name returns that of one of the deployment's containers: "vitrine-<instance>-<number>-<environment>-<service>", where the number is the deployment's
// and, after a dot, the replica's or the job's. Numbers stand before what may itself hold dashes and digits, so that two never make the same name.
func (in PlanInput) name(c Container) string {
	number := strconv.FormatInt(in.Deployment, 10)
	switch {
	case c.Job > 0:
		number += ".job" + strconv.Itoa(c.Job)
	case c.Replica > 0:
		number += "." + strconv.Itoa(c.Replica)
	}
	return fmt.Sprintf("vitrine-%s-%s-%s-%s", in.Instance, number, in.Environment, c.Service)
}

// stateName returns what the names of the state's volumes begin with. It is the same for every deployment that has the state.
func (in PlanInput) stateName(replica int) string {
	number := "s" + strconv.FormatInt(in.State, 10)
	if replica > 0 {
		number += "." + strconv.Itoa(replica)
	}
	return fmt.Sprintf("vitrine-%s-%s-%s", in.Instance, number, in.Environment)
}

// configDigits is how much of a configuration's hash stands in names.
const configDigits = 12

// stateContainerName returns that of a container of the state. It ends in the beginning of its configuration's hash, so that a later plan finds it where
// nothing has changed, and makes another one where something has.
func (in PlanInput) stateContainerName(c Container, hash string) string {
	return in.stateName(c.Replica) + "-" + c.Service + "-" + hash[:configDigits]
}

// varying are the variables that change with every commit. They are left out of a Spec's hash, or nothing would ever stay as it is.
var varying = [...]string{"VITRINE_SHA"}

// hash identifies the Spec.
func (s Spec) hash() (string, error) {
	env := make(map[string]string, len(s.Environment))
	for k, v := range s.Environment {
		env[k] = v
	}
	for _, k := range varying {
		delete(env, k)
	}
	s.Environment = env
	b, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("hash configuration: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16]), nil
}

// urlOf returns where visitors find a service, from the variables that the service itself gets.
func urlOf(s Service) string {
	key := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, s.Name)
	if u := s.Environment["VITRINE_URL_"+key]; u != "" {
		return u
	}
	return s.Environment["VITRINE_URL"]
}

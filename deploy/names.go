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

// The labels of everything that Vitrine makes on an engine. A network has the first two only, as it is made before more is known.
const (
	LabelInstance    = "vitrine.instance"
	LabelDeployment  = "vitrine.deployment"
	LabelEnvironment = "vitrine.environment"
	LabelService     = "vitrine.service" // of containers
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

func labels(instance string, deployment int64) map[string]string {
	return map[string]string{LabelInstance: instance, LabelDeployment: strconv.FormatInt(deployment, 10)}
}

// baseName is what the names of a deployment's containers and volumes begin with: "vitrine-<instance>-<deployment>-<environment>". The number
// stands before what may itself hold dashes and digits, so that two deployments never make the same name.
func baseName(in PlanInput) string {
	return fmt.Sprintf("vitrine-%s-%d-%s", in.Instance, in.Deployment, in.Environment)
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

package compose

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"vitrine/deployments/repoconfig"
)

// mainService is the name of the service that has the plain host where nothing else is said, and of the one that a lone Dockerfile makes.
const mainService = "web"

// private are the container ports at which no browser is served: SSH, mail, databases, queues, caches.
var private = [...]uint32{22, 1025, 3306, 5432, 5672, 6379, 9092, 11211, 27017}

// publish marks the services that get a host: what .vitrine.yml gives a port, else every one with a port that a browser may be served at.
func (r *reading) publish(project *types.Project) {
	named := r.namedPorts(r.order)
	public := 0
	for i := range r.stack.Services {
		s := &r.stack.Services[i]
		ports := project.Services[s.Name].Ports
		if slices.ContainsFunc(ports, func(p types.ServicePortConfig) bool { return p.Published != "" || p.HostIP != "" }) {
			r.findings.LeaveOut(s.Name, "host ports are left out", "no port of the server is taken, and public services have a host each")
		}
		if len(named) > 0 {
			s.Port = named[s.Name]
		} else {
			s.Port = r.firstPort(s.Name, ports)
		}
		if s.Port != 0 {
			s.Public = true
			public++
		}
	}
	if public == 0 && len(r.findings.all) == 0 {
		r.findings.refuse(r.at("services"), "public", fmt.Sprintf("Add `ports:` with the container's port to the one that answers HTTP, such as "+
			"`ports: [\"8080\"]`, or services.%s.port to %s", r.order[0], repoconfig.FileName), "no service has a port that a browser can be shown")
	}
}

// firstPort returns the first container port of `ports:` that is not among the private ones, or 0.
func (r *reading) firstPort(service string, ports []types.ServicePortConfig) int {
	first := 0
	for i, p := range ports {
		if p.Target < 1 || p.Target > 65535 {
			r.wrong(r.item(service, "ports", i, len(ports), fmt.Sprint(p.Target)), "", "it wants a container port from 1 to 65535")
			continue
		}
		if first == 0 && (p.Protocol == "" || p.Protocol == "tcp") && !slices.Contains(private[:], p.Target) {
			first = int(p.Target)
		}
	}
	return first
}

// namedPorts returns the ports that .vitrine.yml gives, by service.
func (r *reading) namedPorts(services []string) map[string]int {
	ports := map[string]int{}
	for name, s := range r.config.Services {
		if !slices.Contains(services, name) {
			r.findings.refuse(placed(r.config.Where("services."+name)), "services", "", fmt.Sprintf("services.%s: there is no such service in %s", shown(name), r.findings.files[0]))
		}
		if s.Port != 0 {
			ports[name] = s.Port
		}
	}
	return ports
}

// number reads digits; too many of them are -1.
func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return -1
	}
	return n
}

// placed takes a place of .vitrine.yml apart, which is written as "file:line" or "file".
func placed(where string) spot {
	file, rest, _ := strings.Cut(where, ":")
	line, _, _ := strings.Cut(rest, ":")
	return spot{file, max(number(line), 0)}
}

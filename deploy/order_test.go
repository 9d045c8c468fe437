package deploy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 25).Draw(t, "services")
		free := rapid.Bool().Draw(t, "any direction")
		services := make([]Service, n)
		for i := range services {
			services[i].Name = fmt.Sprintf("s%d", i)
			for j := range n {
				if (j < i || free && j != i) && rapid.IntRange(0, 9).Draw(t, "edge") == 0 {
					services[i].DependsOn = append(services[i].DependsOn, Dependency{Service: fmt.Sprintf("s%d", j), Condition: Started})
				}
			}
		}
		rotated := slices.Concat(services[n/2:], services[:n/2])
		in := input(rotated...)
		p, err := NewPlan(in)
		var wrong *StackError
		if circular(services) {
			if !errors.As(err, &wrong) {
				t.Fatalf("got %v for a circle", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		holds(t, p, n)
	})
}

func holds(t *rapid.T, p Plan, n int) {
	placed := make(map[string]bool)
	taken := map[netip.Addr]bool{p.Network.Gateway: true, p.Network.Subnet.Addr(): true}
	for _, c := range p.Containers {
		for _, d := range c.DependsOn {
			if !placed[d.Service] {
				t.Fatalf("%s stands before %s", c.Service, d.Service)
			}
		}
		if placed[c.Service] || taken[c.Address] || !p.Network.Subnet.Contains(c.Address) || p.Network.Dynamic.Contains(c.Address) {
			t.Fatalf("%s is there twice, or has the address %s", c.Service, c.Address)
		}
		placed[c.Service], taken[c.Address] = true, true
	}
	if len(placed) != n {
		t.Fatalf("the plan has %d containers for %d services", len(placed), n)
	}
}

func circular(services []Service) bool {
	next := make(map[string][]Dependency)
	for _, s := range services {
		next[s.Name] = s.DependsOn
	}
	var leads func(from, to string, seen map[string]bool) bool
	leads = func(from, to string, seen map[string]bool) bool {
		for _, d := range next[from] {
			if d.Service == to {
				return true
			}
			if !seen[d.Service] {
				seen[d.Service] = true
				if leads(d.Service, to, seen) {
					return true
				}
			}
		}
		return false
	}
	return slices.ContainsFunc(services, func(s Service) bool { return leads(s.Name, s.Name, map[string]bool{}) })
}

package deploy

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawStack draws a stack of services that may keep state, change, have replicas and jobs, and share volumes.
func drawStack(t *rapid.T) PlanInput {
	var services []Service
	for _, name := range []string{"a", "b", "c", "d"} {
		if !rapid.Bool().Draw(t, "has "+name) {
			continue
		}
		s := Service{Name: name, Command: []string{rapid.SampledFrom([]string{"v1", "v2"}).Draw(t, "command of "+name)}}
		s.Replicas = rapid.IntRange(0, 2).Draw(t, "replicas of "+name)
		s.InPlace = rapid.Bool().Draw(t, name+" in place")
		if v := rapid.SampledFrom([]string{"", "v", "w"}).Draw(t, "volume of "+name); v != "" {
			s.Mounts = []Mount{{Volume: v, Target: "/data", ReadOnly: rapid.Bool().Draw(t, name+" only reads")}}
		}
		services = append(services, s)
	}
	if len(services) == 0 {
		services = []Service{{Name: "a"}}
	}
	in := input(services...)
	in.Stack.Volumes = []string{"v", "w"}
	for range rapid.IntRange(0, 3).Draw(t, "jobs") {
		s := services[rapid.IntRange(0, len(services)-1).Draw(t, "job of")]
		in.Stack.Jobs = append(in.Stack.Jobs, Job{Service: s.Name, Run: []string{"x"}})
	}
	return in
}

// TestSuccession holds, for one stack after another, that each container of the state that was live either stays, or is stopped before anything that works
// on its data or stands for its service starts, or drains.
func TestSuccession(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first, err := NewPlan(drawStack(t))
		if err != nil {
			t.Fatal(err)
		}
		in := drawStack(t)
		in.Deployment, in.State, in.Live, in.Subnet = 18, 17, &first, netip.MustParsePrefix("10.213.0.64/27")
		next, err := NewPlan(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, old := range first.state() {
			stays := slices.ContainsFunc(next.Containers, func(c Container) bool { return c.Kept && c.Name == old.Name })
			drains, stops := slices.Contains(next.Drains, old.Name), slices.Contains(next.Stops(), old.Name)
			if n := count(stays, drains, stops); n != 1 {
				t.Fatalf("%s stays %t, drains %t, is stopped %t", old.Name, stays, drains, stops)
			}
			for _, c := range next.Containers {
				starts := c.State && !c.Kept
				if !stays && starts && (c.shares(old) || c.Service == old.Service) && !slices.Contains(c.Stops, old.Name) {
					t.Fatalf("%s starts while %s runs", c.Name, old.Name)
				}
			}
		}
		unique(t, next)
	})
}

// unique fails where two containers have a name in common, or an address that they need at the same time.
func unique(t *rapid.T, p Plan) {
	names, addresses := make(map[string]bool), make(map[string]bool)
	for _, c := range p.Containers {
		address := fmt.Sprint(c.Address)
		if names[c.Name] || c.Job == 0 && addresses[address] {
			t.Fatalf("%s at %s: name or address are there twice", c.Name, address)
		}
		names[c.Name] = true
		if c.Job == 0 {
			addresses[address] = true
		}
	}
}

func count(of ...bool) (n int) {
	for _, b := range of {
		if b {
			n++
		}
	}
	return n
}

// Another state has nothing to do with what is live.
func TestAnotherState(t *testing.T) {
	in := input(Service{Name: "db", InPlace: true})
	live, err := NewPlan(in)
	if err != nil {
		t.Fatal(err)
	}
	in.Deployment, in.Live = 18, &live
	p, err := NewPlan(in)
	if err != nil {
		t.Fatal(err)
	}
	if c := p.Containers[0]; c.Kept || len(c.Stops) > 0 || len(p.Drains) > 0 || c.Name == live.Containers[0].Name {
		t.Errorf("the plan of another state has something of the live one: %s", p)
	}
}

package deploy

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestConfigHash(t *testing.T) {
	hash := func(change func(*PlanInput, *Service)) string {
		s := Service{Name: "db", Environment: map[string]string{"A": "1", "VITRINE_SHA": "1"}, Mounts: []Mount{{Volume: "v", Target: "/v"}}}
		in := input()
		change(&in, &s)
		in.Stack = Stack{Services: []Service{s}, Volumes: []string{"v"}}
		if in.Images["db"].ID == "" {
			in.Images["db"] = Image{ID: someID}
		}
		p, err := NewPlan(in)
		if err != nil {
			t.Fatal(err)
		}
		return p.Containers[0].Labels[LabelConfig]
	}
	base := hash(func(*PlanInput, *Service) {})
	same := map[string]func(*PlanInput, *Service){
		"another deployment": func(in *PlanInput, _ *Service) {
			in.Deployment = 18
			in.Subnet = netip.MustParsePrefix("10.213.4.0/27")
		},
		"another commit": func(_ *PlanInput, s *Service) { s.Environment["VITRINE_SHA"] = "2" },
	}
	other := map[string]func(*PlanInput, *Service){
		"another image":    func(in *PlanInput, _ *Service) { in.Images["db"] = Image{ID: "sha256:1"} },
		"another variable": func(_ *PlanInput, s *Service) { s.Environment["A"] = "2" },
		"another command":  func(_ *PlanInput, s *Service) { s.Command = []string{"x"} },
		"another target":   func(_ *PlanInput, s *Service) { s.Mounts[0].Target = "/w" },
	}
	for name, change := range same {
		if got := hash(change); got != base {
			t.Errorf("%s: the hash changed", name)
		}
	}
	for name, change := range other {
		if got := hash(change); got == base {
			t.Errorf("%s: the hash did not change", name)
		}
	}
}

func TestURL(t *testing.T) {
	env := map[string]string{"VITRINE_URL": "http://shop", "VITRINE_URL_API_V2": "http://api-v2-shop"}
	for name, want := range map[string]string{"api-v2": "http://api-v2-shop", "web": "http://shop"} {
		if got := urlOf(Service{Name: name, Environment: env}); got != want {
			t.Errorf("the URL of %s is %q, want %q", name, got, want)
		}
	}
	if got := urlOf(Service{Name: "web"}); got != "" {
		t.Errorf("the URL of a service without variables is %q", got)
	}
}

func TestNetworkNames(t *testing.T) {
	seen := make(map[string]string)
	for _, instance := range []string{"a", "a/1", "b"} {
		for deployment := range int64(200) {
			n, err := NewNetwork(instance, deployment, netip.MustParsePrefix("10.213.0.0/27"))
			if err != nil {
				t.Fatal(err)
			}
			key := fmt.Sprint(instance, " ", deployment)
			if other, ok := seen[n.Name]; ok || len(n.Name) > 15 {
				t.Fatalf("%s has the name %s, which is too long or that of %s", key, n.Name, other)
			}
			seen[n.Name] = key
		}
	}
}

package deployments

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSettingsResolve(t *testing.T) {
	text := func(s string) *string { return &s }
	settings := Settings{Env: map[string]Declaration{
		"PLAIN":  {Value: text("plain"), Where: ".vitrine.yml:2"},
		"RANDOM": {Generate: 16, Where: ".vitrine.yml:3"},
		"STRIPE": {Required: "ask ana", Where: ".vitrine.yml:4"},
		"MAPS":   {Required: "ask bob", Fork: text("dummy"), Where: ".vitrine.yml:5"},
		"TRACK":  {Fork: text("off"), Where: ".vitrine.yml:6"},
	}}
	tests := map[string]struct {
		variables map[string]string
		fork      bool
		lengths   map[string]int
		values    map[string]string
		secrets   []string
		fault     *Fault
	}{
		"all there": {
			variables: map[string]string{"STRIPE": "sk", "MAPS": "", "OTHER": "o"}, lengths: map[string]int{"RANDOM": 16},
			values:  map[string]string{"PLAIN": "plain", "RANDOM": "r-16", "STRIPE": "sk", "MAPS": "", "OTHER": "o"},
			secrets: []string{"", "o", "r-16", "sk"},
		},
		"Variables override": {
			variables: map[string]string{"STRIPE": "sk", "MAPS": "m", "PLAIN": "mine", "RANDOM": "given"}, lengths: map[string]int{},
			values:  map[string]string{"PLAIN": "mine", "RANDOM": "given", "STRIPE": "sk", "MAPS": "m"},
			secrets: []string{"given", "m", "mine", "sk"},
		},
		"one is missing": {
			variables: map[string]string{"MAPS": "m"}, lengths: map[string]int{"RANDOM": 16},
			fault: &Fault{Kind: FaultConfig, Where: ".vitrine.yml:4",
				Reason:  "the required variable `STRIPE` has no value. On the server, run `vitrine env set acme/shop STRIPE=...`, then comment `/deploy`",
				Excerpt: []string{".vitrine.yml:4: STRIPE has no value: ask ana"}},
		},
		"two are missing": {
			lengths: map[string]int{"RANDOM": 16},
			fault: &Fault{Kind: FaultConfig, Where: ".vitrine.yml:5",
				Reason:  "the required variables `MAPS`, `STRIPE` have no value. On the server, run `vitrine env set acme/shop MAPS=... STRIPE=...`, then comment `/deploy`",
				Excerpt: []string{".vitrine.yml:5: MAPS has no value: ask bob", ".vitrine.yml:4: STRIPE has no value: ask ana"}},
		},
		"a fork sees no Variable": {
			variables: map[string]string{"STRIPE": "sk", "MAPS": "m", "PLAIN": "mine"}, fork: true, lengths: map[string]int{"RANDOM": 16},
			fault: &Fault{Kind: FaultConfig, Where: ".vitrine.yml:4",
				Reason: "the required variable `STRIPE` has no value. A fork never sees the repository's own; give them one for forks in `.vitrine.yml`, " +
					"such as `{fork: \"dummy\"}`",
				Excerpt: []string{".vitrine.yml:4: STRIPE has no value: ask ana"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			lengths := settings.generated(tt.variables, tt.fork)
			if diff := cmp.Diff(tt.lengths, lengths); diff != "" {
				t.Errorf("to be drawn: %s", diff)
			}
			values, secrets, err := settings.resolve("acme/shop", tt.variables, map[string]string{"RANDOM": "r-16"}, tt.fork)
			if diff := cmp.Diff(tt.fault, FaultOf(err)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.values, values); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.secrets, secrets); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestForkValues(t *testing.T) {
	dummy := "dummy"
	settings := Settings{Env: map[string]Declaration{
		"MAPS": {Required: "ask bob", Fork: &dummy}, "KEY": {Generate: 16, Fork: &dummy}, "PLAIN": {Value: &dummy},
	}}
	variables := map[string]string{"MAPS": "secret", "OTHER": "secret"}
	if lengths := settings.generated(variables, true); len(lengths) != 0 {
		t.Errorf("to be drawn: %v", lengths)
	}
	values, secrets, err := settings.resolve("acme/shop", variables, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"MAPS": dummy, "KEY": dummy, "PLAIN": dummy}, values); diff != "" || len(secrets) != 0 {
		t.Errorf("%s, secret %v", diff, secrets)
	}
}

func TestValuesAll(t *testing.T) {
	v := Values{Own: map[string]string{"VITRINE_SHA": "1"}, Env: map[string]string{"VITRINE_SHA": "2", "A": "b"}}
	if diff := cmp.Diff(map[string]string{"VITRINE_SHA": "1", "A": "b"}, v.All()); diff != "" {
		t.Error(diff)
	}
	if all := (Values{}).All(); all == nil || len(all) != 0 {
		t.Errorf("of nothing: %v", all)
	}
}

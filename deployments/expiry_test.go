package deployments

import (
	"testing"
	"time"
)

func TestExpiry(t *testing.T) {
	day := 24 * time.Hour
	for name, test := range map[string]struct {
		env  Environment
		want Want
		at   time.Time
	}{
		"a push":                       {Environment{Origin: pull}, Want{Intent: Up, Source: at("a")}, noon.Add(7 * day)},
		"a push keeps a later end":     {Environment{Origin: pull, Expires: noon.Add(20 * day)}, Want{Intent: Up, Source: at("a")}, noon.Add(20 * day)},
		"/extend adds":                 {Environment{Origin: pull, Intent: Up, Expires: noon.Add(7 * day)}, Want{Extend: 3 * day}, noon.Add(10 * day)},
		"/extend up to the ceiling":    {Environment{Origin: pull, Intent: Up, Expires: noon.Add(7 * day)}, Want{Extend: 90 * day}, noon.Add(30 * day)},
		"/extend never shortens":       {Environment{Origin: pull, Intent: Up, Expires: noon.Add(40 * day)}, Want{Extend: day}, noon.Add(40 * day)},
		"a tracked branch has no end":  {Environment{Origin: Origin{Repo: "acme/shop", Branch: "main"}}, Want{Intent: Up, Source: at("a")}, time.Time{}},
		"closing leaves the end alone": {Environment{Origin: pull, Generation: 1, Intent: Up, Expires: noon.Add(day)}, Want{Intent: Gone}, noon.Add(day)},
	} {
		t.Run(name, func(t *testing.T) {
			if e, _ := Apply(test.env, test.want, week, noon); !e.Expires.Equal(test.at) {
				t.Errorf("got %s, want %s", e.Expires, test.at)
			}
		})
	}
}

package deployments

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	pull = Origin{Repo: "acme/shop", PullRequest: 42}
	noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	week = Lifetime{TTL: 7 * 24 * time.Hour, Max: 30 * 24 * time.Hour}
)

func at(sha string) Source { return Source{Repo: "acme/shop", Branch: "stock", SHA: sha} }

func TestApply(t *testing.T) {
	up := func(sha string) Want {
		return Want{Origin: pull, Source: at(sha), Intent: Up, By: ByEvent, Cause: "push"}
	}
	gone := func(by By) Want { return Want{Origin: pull, Intent: Gone, By: by} }
	forced := up("a")
	forced.Force, forced.By = true, ByHand
	skipped := up("b")
	skipped.Intent, skipped.Skip = Gone, "only docs/** changed"
	pin, unpin := true, false

	for name, test := range map[string]struct {
		wants      []Want
		generation int64
		intent     Intent
		sha        string
	}{
		"opened":                               {[]Want{up("a")}, 1, Up, "a"},
		"the same commit twice":                {[]Want{up("a"), up("a")}, 1, Up, "a"},
		"pushed":                               {[]Want{up("a"), up("b")}, 2, Up, "b"},
		"/deploy of the same commit":           {[]Want{up("a"), forced}, 2, Up, "a"},
		"closed":                               {[]Want{up("a"), gone(ByEvent)}, 2, Gone, "a"},
		"closed twice":                         {[]Want{up("a"), gone(ByEvent), gone(ByEvent)}, 2, Gone, "a"},
		"closed before anything":               {[]Want{gone(ByEvent)}, 0, Keep, ""},
		"reopened":                             {[]Want{up("a"), gone(ByEvent), up("a")}, 3, Up, "a"},
		"an event after /destroy":              {[]Want{up("a"), gone(ByHand), up("a")}, 2, Gone, "a"},
		"a push after /destroy":                {[]Want{up("a"), gone(ByHand), up("b")}, 3, Up, "b"},
		"an event after the expiry":            {[]Want{up("a"), gone(ByExpiry), up("a")}, 2, Gone, "a"},
		"/deploy after the expiry":             {[]Want{up("a"), gone(ByExpiry), forced}, 3, Up, "a"},
		"skipped":                              {[]Want{skipped}, 1, Gone, "b"},
		"skipped twice":                        {[]Want{skipped, skipped}, 1, Gone, "b"},
		"skipped later":                        {[]Want{up("a"), skipped}, 2, Gone, "b"},
		"skipped no more":                      {[]Want{skipped, up("b")}, 2, Up, "b"},
		"skipped after /destroy":               {[]Want{up("b"), gone(ByHand), skipped}, 2, Gone, "b"},
		"/deploy of what is skipped":           {[]Want{skipped, forced}, 2, Up, "a"},
		"pinned":                               {[]Want{up("a"), {Origin: pull, Intent: Keep, Pin: &pin}, {Origin: pull, Intent: Keep, Pin: &unpin}}, 1, Up, "a"},
		"closed while it is destroyed by hand": {[]Want{up("a"), gone(ByHand), gone(ByEvent)}, 2, Gone, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			e := Environment{Origin: pull, Name: "shop-pr-42"}
			for _, w := range test.wants {
				e, _ = Apply(e, w, week, noon)
			}
			if e.Generation != test.generation || e.Intent != test.intent || e.Source().SHA != test.sha {
				t.Errorf("got generation %d, %q at %q; want %d, %q at %q", e.Generation, e.Intent, e.Source().SHA, test.generation, test.intent, test.sha)
			}
		})
	}
}

func TestApplyKeepsWhatWasForced(t *testing.T) {
	deploy := Want{Origin: pull, Source: at("a"), Intent: Up, By: ByHand, Force: true}
	late := Want{Origin: pull, Source: at("b"), Intent: Up, By: ByEvent}
	forced, _ := Apply(Environment{Origin: pull}, deploy, week, noon)
	if e, _ := Apply(forced, late, week, noon); !e.Force {
		t.Error("a push that came before the /deploy was carried out took its force away")
	}
	forced.Observed = forced.Generation
	if e, _ := Apply(forced, late, week, noon); e.Force {
		t.Error("a push after the /deploy was carried out is forced")
	}
}

func TestApplyProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, now := Environment{Origin: pull, Name: "shop-pr-42"}, noon
		for range rapid.IntRange(1, 30).Draw(t, "wants") {
			w := Want{
				Origin: pull,
				Intent: rapid.SampledFrom([]Intent{Up, Gone, Keep}).Draw(t, "intent"),
				By:     rapid.SampledFrom([]By{ByEvent, ByHand, ByExpiry}).Draw(t, "by"),
				Force:  rapid.Bool().Draw(t, "force"),
				Extend: rapid.SampledFrom([]time.Duration{0, time.Hour, 1000 * time.Hour}).Draw(t, "extend"),
			}
			if w.Intent == Up {
				w.Source = at(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "sha"))
			}
			before := e
			var raised bool
			e, raised = Apply(e, w, week, now)
			if grew := e.Generation - before.Generation; raised != (grew == 1) || grew != 0 && grew != 1 {
				t.Fatalf("raised is %v and the generation grew by %d", raised, grew)
			}
			if !raised && (e.Intent != before.Intent || e.Source() != before.Source()) {
				t.Fatalf("what is wanted changed without a new generation: %+v -> %+v", before, e)
			}
			if w.Force && w.Intent != Keep && !raised {
				t.Fatal("a forced want raised nothing")
			}
			if e.Expires.Before(before.Expires) {
				t.Fatalf("the expiry moved back from %s to %s", before.Expires, e.Expires)
			}
			if limit := later(before.Expires, now.Add(week.Max)); e.Expires.After(limit) {
				t.Fatalf("the expiry %s is past the ceiling %s", e.Expires, limit)
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "hours")) * time.Hour)
		}
	})
}

func TestResolve(t *testing.T) {
	open, skip, closed := Head{Open: true, Source: at("b")}, Head{Open: true, Source: at("b"), Skip: "only docs/** changed"}, Head{}
	never := skip
	never.Binding = true
	untracked := Head{Cause: "not tracked any more"}
	for name, test := range map[string]struct {
		intent Intent
		by     By
		head   Head
		want   Intent
		sha    string
	}{
		"up and open":                      {Up, ByEvent, open, Up, "b"},
		"up and closed":                    {Up, ByEvent, closed, Gone, "a"},
		"up and skipped":                   {Up, ByEvent, skip, Gone, "b"},
		"gone by a late event, but open":   {Gone, ByEvent, open, Up, "b"},
		"gone and closed":                  {Gone, ByEvent, closed, Gone, "a"},
		"gone by hand stays gone":          {Gone, ByHand, open, Gone, "a"},
		"gone by its expiry stays gone":    {Gone, ByExpiry, open, Gone, "a"},
		"wanted by hand, closed meanwhile": {Up, ByHand, closed, Gone, "a"},
		"wanted by hand, against a rule":   {Up, ByHand, skip, Up, "b"},
		"wanted by hand, bindingly not":    {Up, ByHand, never, Gone, "b"},
		"no longer open for a reason":      {Up, ByEvent, untracked, Gone, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			e := Environment{Origin: pull, Intent: test.intent, By: test.by, Sources: []Source{at("a")}}
			intent, source, cause := e.Resolve(test.head)
			if intent != test.want || source.SHA != test.sha {
				t.Errorf("got %q at %q, want %q at %q", intent, source.SHA, test.want, test.sha)
			}
			if test.head.Cause != "" && cause != test.head.Cause {
				t.Errorf("the cause is %q, want %q", cause, test.head.Cause)
			}
		})
	}
}

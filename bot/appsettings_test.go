package bot

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"
)

func TestAppSettings(t *testing.T) {
	w := newWorld(t, nil)
	for _, page := range []string{"/organizations/acme/settings/apps/vitrine", "/settings/apps/vitrine"} {
		s, err := w.bot.Settings(t.Context())
		w.must(err)
		if s.Page != w.url+page || !slices.Equal(s.Events, []string{"pull_request", "push", "delete", "issue_comment", "check_run", "repository"}) {
			t.Errorf("the settings are %+v, want the page %s", s, page)
		}
		w.rewrite("/app", `"type":"Organization"`, `"type":"User"`) // from now on
	}
	w.refuse("/app", http.StatusBadGateway, nil)
	_, err := w.bot.Settings(t.Context())
	unavailable(t, err, waitsForGitHub)
}

func TestHook(t *testing.T) {
	w := newWorld(t, nil)
	good := Hook{URL: w.hook, JSON: true, Signed: true}
	for name, test := range map[string]struct {
		old, new string
		want     Hook
	}{
		"as it should be":       {`"json"`, `"json"`, good},
		"forms":                 {`"json"`, `"form"`, Hook{URL: w.hook, Signed: true}},
		"insecure":              {`"insecure_ssl":"0"`, `"insecure_ssl":"1"`, Hook{URL: w.hook, JSON: true, Signed: true, Insecure: true}},
		"insecure, as a number": {`"insecure_ssl":"0"`, `"insecure_ssl":1`, Hook{URL: w.hook, JSON: true, Signed: true, Insecure: true}},
		"secure, as a number":   {`"insecure_ssl":"0"`, `"insecure_ssl":0`, good},
		"unsigned":              {`"secret":"********",`, ``, Hook{URL: w.hook, JSON: true}},
		"nothing but an URL":    {`"content_type":"json","insecure_ssl":"0","secret":"********",`, ``, Hook{URL: w.hook}},
	} {
		t.Run(name, func(t *testing.T) {
			if test.old == test.new {
				w.Intercept(nil)
			} else {
				w.rewrite("/app/hook/config", test.old, test.new)
			}
			if got, err := w.bot.Hook(t.Context()); err != nil || got != test.want {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

func TestHookIsNotTold(t *testing.T) {
	w := newWorld(t, nil)
	w.rewrite("/app/hook/config", w.hook, "")
	if _, err := w.bot.Hook(t.Context()); !errors.Is(err, ErrNoHook) {
		t.Errorf("without an address: %v", err)
	}
	for status, neighbour := range map[int]string{http.StatusForbidden: waitsForPermission, http.StatusBadGateway: waitsForGitHub} {
		w.refuse("/app/hook/config", status, nil)
		_, err := w.bot.Hook(t.Context())
		unavailable(t, err, neighbour)
		w.refresh()
	}
	w.refuse("/app/hook/config", http.StatusNotFound, nil)
	if _, err := w.bot.Hook(t.Context()); !errors.Is(err, ErrNoHook) {
		t.Errorf("answered 404: %v", err)
	}
}

// While nobody listens events are undelivered. Once they were asked for again they have arrived, and the failures stay.
func TestAttempts(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	taken, err := w.bot.Attempts(t.Context())
	w.must(err)
	if taken.Total == 0 || taken != (Attempts{Total: taken.Total}) {
		t.Errorf("after deliveries that were taken: %+v", taken)
	}
	up := w.down()
	w.commentThrice(number)
	up()
	all := w.Deliveries()
	last := all[len(all)-1]
	want := Attempts{Total: taken.Total + 3, Failed: 3, Undelivered: 3, Last: FailedAttempt{
		Event: "issue_comment", Status: http.StatusBadGateway, Outcome: "failed to connect to host", At: last.At.Truncate(time.Second),
	}}
	same := func(a, b Attempts) bool {
		at := a.Last.At.Equal(b.Last.At)
		a.Last.At, b.Last.At = time.Time{}, time.Time{}
		return at && a == b
	}
	if got, err := w.bot.Attempts(t.Context()); err != nil || !same(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	w.redeliver()
	want.Total, want.Undelivered = want.Total+3, 0
	if got, err := w.bot.Attempts(t.Context()); err != nil || !same(got, want) {
		t.Errorf("once they were asked for again: got %+v, %v; want %+v", got, err, want)
	}
	w.refuse("/app/hook/deliveries", http.StatusBadGateway, nil)
	_, err = w.bot.Attempts(t.Context())
	unavailable(t, err, waitsForGitHub)
}

func TestAttemptsOf(t *testing.T) {
	// Each attempt is an event's GUID and a status.
	for name, test := range map[string]struct {
		listed []any
		want   string
	}{
		"none":                           {nil, "0 0 0 0"},
		"all taken":                      {[]any{"b", 202, "a", 200}, "2 0 0 0"},
		"one failed":                     {[]any{"b", 202, "a", 500}, "2 1 1 500"},
		"it arrived later":               {[]any{"a", 202, "a", 500}, "2 1 0 500"},
		"it arrived before":              {[]any{"a", 500, "a", 202}, "2 1 0 500"},
		"twice without, once with":       {[]any{"a", 502, "b", 202, "a", 500, "b", 404}, "4 3 1 502"},
		"redirects are failures":         {[]any{"a", 302}, "1 1 1 302"},
		"there may be no status":         {[]any{"a", 0}, "1 1 1 0"},
		"the newest failure is the last": {[]any{"c", 202, "b", 504, "a", 503}, "3 2 2 504"},
	} {
		t.Run(name, func(t *testing.T) {
			var listed []*github.HookDelivery
			for i := 0; i < len(test.listed); i += 2 {
				listed = append(listed, &github.HookDelivery{GUID: github.String(test.listed[i].(string)), StatusCode: github.Int(test.listed[i+1].(int))})
			}
			got := attemptsOf(listed)
			if said := fmt.Sprintln(got.Total, got.Failed, got.Undelivered, got.Last.Status); said != test.want+"\n" {
				t.Errorf("got %s, want %s", said, test.want)
			}
		})
	}
}

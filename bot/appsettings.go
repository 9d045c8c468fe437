package bot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-github/v60/github"
)

// ErrNoHook is returned by [Bot.Hook] where GitHub knows no webhook of the App's.
var ErrNoHook = errors.New("GitHub knows no webhook of the App's")

// mostOutcome bounds what GitHub says of a failed delivery, in characters.
const mostOutcome = 80

// AppSettings is what is set for the App on GitHub.
type AppSettings struct {
	Page   string   // of the App's settings, for people
	Events []string // that the App is subscribed to: "push"
}

// Settings asks for the App's settings.
func (b *Bot) Settings(ctx context.Context) (AppSettings, error) {
	ctx, cancel := within(ctx, b.config.callTime)
	defer cancel()
	app, _, err := b.apps.app.Apps.Get(ctx, "")
	if err != nil {
		return AppSettings{}, fmt.Errorf("ask for the App's settings: %w", away(ctx, err))
	}
	page := "/settings/apps/" + url.PathEscape(app.GetSlug())
	if owner := app.GetOwner(); owner.GetType() == "Organization" {
		page = "/organizations/" + url.PathEscape(owner.GetLogin()) + page
	}
	return AppSettings{Page: b.config.URL + page, Events: app.Events}, nil
}

// A Hook is where and how GitHub sends the App's webhooks.
type Hook struct {
	URL      string
	JSON     bool // and not a form
	Signed   bool // with a secret
	Insecure bool // whoever answers is taken for the server, whatever the certificate
}

// Hook asks how the App's webhooks are sent. Where there are none it is an ErrNoHook.
func (b *Bot) Hook(ctx context.Context) (Hook, error) {
	ctx, cancel := within(ctx, b.config.callTime)
	defer cancel()
	// go-github takes insecure_ssl for a text, and GitHub's description has a number too.
	var config struct {
		URL         string `json:"url"`
		ContentType string `json:"content_type"`
		Secret      string `json:"secret"`
		InsecureSSL any    `json:"insecure_ssl"`
	}
	client := b.apps.app
	request, err := client.NewRequest(http.MethodGet, "app/hook/config", nil)
	if err == nil {
		_, err = client.Do(ctx, request, &config)
	}
	if gone(err) || err == nil && config.URL == "" {
		return Hook{}, ErrNoHook
	}
	if err != nil {
		return Hook{}, fmt.Errorf("ask how webhooks are sent: %w", away(ctx, err))
	}
	return Hook{
		URL: config.URL, JSON: config.ContentType == "json", Signed: config.Secret != "", Insecure: fmt.Sprint(config.InsecureSSL) == "1",
	}, nil
}

// Attempts is what came of GitHub's latest attempts to deliver webhooks.
type Attempts struct {
	Total, Failed int
	Undelivered   int           // the events among them of which no attempt arrived
	Last          FailedAttempt // the newest that failed; the zero value where none did
}

// A FailedAttempt is an attempt to deliver a webhook that failed.
type FailedAttempt struct {
	Event   string    // "pull_request"
	Status  int       // of the answer; GitHub's own where there was none: 502
	Outcome string    // as GitHub puts it: "failed to connect to host"
	At      time.Time // when it was
}

// Attempts asks for the latest attempts to deliver webhooks, as many as GitHub lists at once.
func (b *Bot) Attempts(ctx context.Context) (Attempts, error) {
	ctx, cancel := within(ctx, b.config.callTime)
	defer cancel()
	listed, _, err := b.apps.app.Apps.ListHookDeliveries(ctx, &github.ListCursorOptions{PerPage: perPage})
	if err != nil {
		return Attempts{}, fmt.Errorf("list the deliveries of webhooks: %w", away(ctx, err))
	}
	return attemptsOf(listed), nil
}

// attemptsOf sums up attempts, the newest first.
func attemptsOf(listed []*github.HookDelivery) Attempts {
	sum := Attempts{Total: len(listed)}
	arrived := map[string]bool{} // whether an event did, by GUID
	for _, d := range listed {
		if wasTaken(d) {
			arrived[d.GetGUID()] = true
			continue
		}
		arrived[d.GetGUID()] = arrived[d.GetGUID()]
		if sum.Failed++; sum.Failed == 1 {
			sum.Last = FailedAttempt{Event: d.GetEvent(), Status: d.GetStatusCode(), Outcome: plain(d.GetStatus(), mostOutcome), At: d.GetDeliveredAt().Time}
		}
	}
	for _, did := range arrived {
		if !did {
			sum.Undelivered++
		}
	}
	return sum
}

// wasTaken reports whether an attempt to deliver a webhook was answered as it should be.
func wasTaken(d *github.HookDelivery) bool {
	status := d.GetStatusCode()
	return status >= http.StatusOK && status < http.StatusMultipleChoices
}

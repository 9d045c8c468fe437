package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"vitrine/bot"
	"vitrine/deployments"
)

// openForge returns a bot that only asks.
func (c *doctorCommand) openForge() (*bot.Bot, error) {
	key, err := c.app()
	if err != nil {
		return nil, err
	}
	transport, err := c.toGithub()
	if err != nil {
		return nil, err
	}
	return bot.New(bot.Config{
		AppID: c.GithubAppID, PrivateKey: key, WebhookSecret: c.GithubWebhookSecret, URL: c.GithubURL, APIURL: c.GithubAPIURL,
		Transport: transport, TTL: c.TTL, MaxTTL: c.TTLMax, PreviewURL: c.previewLink(0), States: noStates{},
	})
}

// An appVisit looks at GitHub, and then at what is set for the App there.
type appVisit struct {
	*doctorCommand
	forge *bot.Bot // nil until GitHub has answered
}

func (v *appVisit) github(ctx context.Context) (string, error) {
	forge, err := v.openForge()
	if err != nil {
		return "", err
	}
	login, err := forge.Login(ctx)
	if err != nil {
		return "", fmt.Errorf("%s does not take the App's number and key: %w", v.GithubAPIURL, err)
	}
	v.forge = forge
	m, err := readManifest()
	if err != nil {
		return "", err
	}
	lacking, err := forge.Lacking(ctx, m.Permissions)
	if err == nil && len(lacking) > 0 {
		err = errors.New(strings.Join(lacking, "; "))
	}
	return "is " + login + " at " + v.GithubAPIURL, err
}

// appSettings asks for the App's settings, if GitHub has answered before.
func (v *appVisit) appSettings(ctx context.Context) (bot.AppSettings, error) {
	if v.forge == nil {
		return bot.AppSettings{}, &unknownError{errors.New("see github")}
	}
	set, err := v.forge.Settings(ctx)
	if err != nil {
		return set, &unknownError{err}
	}
	return set, nil
}

// events holds what the App is subscribed to against app.yml.
func (v *appVisit) events(ctx context.Context) (string, error) {
	set, err := v.appSettings(ctx)
	if err != nil {
		return "", err
	}
	m, err := readManifest()
	if err != nil {
		return "", err
	}
	missing := slices.DeleteFunc(m.Events, func(event string) bool { return slices.Contains(set.Events, event) })
	if len(missing) > 0 {
		return "", fmt.Errorf("the App is not subscribed to %s; subscribe it at %s/permissions", strings.Join(missing, ", "), set.Page)
	}
	return "the App is subscribed to all that it needs", nil
}

// webhook looks at where webhooks are sent, and how.
func (v *appVisit) webhook(ctx context.Context) (string, error) {
	set, err := v.appSettings(ctx)
	if err != nil {
		return "", err
	}
	own, err := v.hookURL(ctx)
	if err != nil {
		return "", err
	}
	hook, err := v.forge.Hook(ctx)
	if errors.Is(err, bot.ErrNoHook) {
		return "", fmt.Errorf("%w; make it active at %s, with the address %s", err, set.Page, own)
	}
	if err != nil {
		return "", &unknownError{err}
	}
	if wrong := hookFaults(hook, own, set.Page); len(wrong) > 0 {
		return "", errors.New(strings.Join(wrong, "; "))
	}
	return "signed JSON to " + hook.URL, nil
}

// hookURL is where this server hears webhooks.
func (c *doctorCommand) hookURL(ctx context.Context) (string, error) {
	_, name, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", fmt.Errorf("read listen: %w", err)
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", name)
	if err != nil {
		return "", fmt.Errorf("read listen: %w", err)
	}
	return c.controlURL(port) + bot.WebhookPath, nil
}

// hookFaults returns, for people, what is wrong with how webhooks are sent to a server that hears them at own; page is where that is set.
func hookFaults(hook bot.Hook, own, page string) (wrong []string) {
	if !sameAddress(hook.URL, own) {
		wrong = append(wrong, fmt.Sprintf("GitHub sends webhooks to %s, and this server hears them at %s; change the address at %s, or this server's with --url",
			hook.URL, own, page))
	}
	if !hook.JSON {
		wrong = append(wrong, "webhooks are sent as forms; choose the content type application/json at "+page)
	}
	if !hook.Signed {
		wrong = append(wrong, "webhooks are not signed, and refused; enter the secret of github-webhook-secret at "+page)
	}
	if hook.Insecure {
		wrong = append(wrong, "GitHub does not check the certificate of whom it sends webhooks to; enable SSL verification at "+page)
	}
	return wrong
}

// sameAddress reports whether two addresses lead to the same place: hosts have no case, and a scheme has its usual port.
func sameAddress(a, b string) bool {
	place := func(address string) string {
		u, err := url.Parse(address)
		if err != nil {
			return address
		}
		u.Host = strings.TrimSuffix(strings.ToLower(u.Host), ":"+map[string]string{"http": "80", "https": "443"}[u.Scheme])
		return u.String()
	}
	return place(a) == place(b)
}

// deliveries looks at what came of the latest webhooks. Failures of events that arrived in the end are said, and are not wrong.
func (v *appVisit) deliveries(ctx context.Context) (string, error) {
	set, err := v.appSettings(ctx)
	if err != nil {
		return "", err
	}
	latest, err := v.forge.Attempts(ctx)
	if err != nil {
		return "", &unknownError{err}
	}
	switch {
	case latest.Total == 0:
		return "GitHub lists none", nil
	case latest.Failed == 0:
		return fmt.Sprintf("none of the last %d failed", latest.Total), nil
	}
	failed := fmt.Sprintf("%d of the last %d failed, the latest (%s) with %s at %s",
		latest.Failed, latest.Total, latest.Last.Event, answered(latest.Last), latest.Last.At.UTC().Format("2006-01-02 15:04 UTC"))
	if latest.Undelivered == 0 {
		return failed + "; every event arrived in the end", nil
	}
	return "", fmt.Errorf("%s; events that did not arrive since: %d. `vitrine serve` asks for them again while it runs; %s/advanced says what was answered",
		failed, latest.Undelivered, set.Page)
}

// answered returns what came of a failed attempt: the status, if there is one, and GitHub's words.
func answered(a bot.FailedAttempt) string {
	switch {
	case a.Status == 0:
		return strconv.Quote(a.Outcome)
	case a.Outcome == "":
		return strconv.Itoa(a.Status)
	default:
		return fmt.Sprintf("%d (%s)", a.Status, a.Outcome)
	}
}

// noStates stands for records that nobody asks for.
type noStates struct{}

func (noStates) EnvironmentOf(context.Context, string) (deployments.Environment, error) {
	return deployments.Environment{}, deployments.ErrNotFound
}

func (noStates) HostState(context.Context, string) (deployments.HostState, error) {
	return deployments.HostState{}, deployments.ErrNotFound
}

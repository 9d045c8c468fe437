package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	// maxAppName is the longest name that GitHub takes for an App, in characters.
	maxAppName = 34
	// maxConversion is the most bytes of GitHub's answer to a code.
	maxConversion = 1 << 20
)

// ErrCode is returned by [Registration.Exchange] for a code that GitHub does not take: it was used, is older than an hour, or was never given.
var ErrCode = errors.New("GitHub does not take the code: it counts once, and for an hour")

// An App is what GitHub says of one that was just registered. Its secrets are told once.
type App struct {
	ID            int64  `json:"id"`
	Slug          string `json:"slug"`
	Name          string `json:"name"`     // which the person may have changed on GitHub's page
	HTMLURL       string `json:"html_url"` // its public page, below which it is installed
	PEM           string `json:"pem"`      // its private key
	WebhookSecret string `json:"webhook_secret"`
	ClientID      string `json:"client_id"`
	ClientSecret  string `json:"client_secret"`
}

// Complete returns what is missing of the App, nil for nothing.
func (a App) Complete() error {
	var missing []string
	for name, there := range map[string]bool{"id": a.ID > 0, "pem": a.PEM != "", "webhook_secret": a.WebhookSecret != ""} {
		if !there {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the App has no %s", strings.Join(missing, ", no "))
	}
	return nil
}

// A Registration registers an App with GitHub by a manifest (docs.github.com, "Registering a GitHub App from a manifest"): the browser posts the
// manifest, and comes back with a code that is exchanged for the App's secrets.
type Registration struct {
	Manifest    []byte // app.yml, whose addresses are examples
	ControlURL  string // of our own server, as GitHub and the browser reach it
	URL, APIURL string // the forge's web and REST addresses
	Transport   http.RoundTripper
}

// appName is what an App may be called.
var appName = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} ._-]*$`)

// Form returns where the browser posts the manifest, and the manifest as the field of that name has it. The account is an organisation's name, empty for
// the person who is signed in. The error is for people.
func (r Registration) Form(name, account, state string) (action, manifest string, err error) {
	name = strings.TrimSpace(name)
	switch {
	case !appName.MatchString(name) || len([]rune(name)) > maxAppName:
		return "", "", fmt.Errorf("%q is no name for a GitHub App: it has letters, digits, spaces, dots and dashes, at most %d", plain(name, 80), maxAppName)
	case account != "" && !loginName.MatchString(account):
		return "", "", fmt.Errorf("%q is no organisation's name on GitHub", plain(account, 80))
	}
	var m map[string]any
	if err := yaml.Unmarshal(r.Manifest, &m); err != nil {
		return "", "", fmt.Errorf("read the App's manifest: %w", err)
	}
	own := strings.TrimRight(r.ControlURL, "/")
	m["name"], m["url"], m["redirect_url"] = name, own, own+SetupPath
	m["hook_attributes"] = map[string]any{"url": own + WebhookPath, "active": true}
	text, err := json.Marshal(m)
	if err != nil {
		return "", "", fmt.Errorf("write the App's manifest: %w", err)
	}
	path := "/settings/apps/new"
	if account != "" {
		path = "/organizations/" + url.PathEscape(account) + path
	}
	return strings.TrimRight(r.URL, "/") + path + "?state=" + url.QueryEscape(state), string(text), nil
}

// SetupPath is where GitHub sends the browser with the code.
const SetupPath = "/setup"

// SuggestName returns a name for the App of a server with the domain. It has to be one of its own on all of GitHub.
func SuggestName(domain string) string {
	return strings.TrimRight(string([]rune("Vitrine " + domain)[:min(maxAppName, len([]rune("Vitrine "+domain)))]), " .-")
}

// Exchange takes the code that the browser came back with. GitHub gives an App's secrets for it, once. A code that GitHub does not take is an ErrCode.
func (r Registration) Exchange(ctx context.Context, code string) (App, error) {
	ctx, cancel := within(ctx, callTime)
	defer cancel()
	address := strings.TrimRight(r.APIURL, "/") + "/app-manifests/" + url.PathEscape(code) + "/conversions"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return App{}, fmt.Errorf("exchange the code: %w", err)
	}
	request.Header.Set("Accept", "application/vnd.github+json")
	answer, err := (&http.Client{Transport: r.Transport}).Do(request)
	if err != nil {
		return App{}, fmt.Errorf("exchange the code: %w", away(ctx, err))
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusNotFound, answer.StatusCode == http.StatusUnprocessableEntity:
		return App{}, ErrCode
	case answer.StatusCode != http.StatusCreated:
		return App{}, fmt.Errorf("exchange the code: %w", away(ctx, fmt.Errorf("GitHub answers %s", answer.Status)))
	}
	var app App
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxConversion)).Decode(&app); err != nil {
		return App{}, fmt.Errorf("read GitHub's answer to the code: %w", err)
	}
	if err := app.Complete(); err != nil {
		return App{}, fmt.Errorf("read GitHub's answer to the code: %w", err)
	}
	return app, nil
}

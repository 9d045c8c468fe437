// Package bot speaks with GitHub: webhooks in, the comment, reactions and replies out. It owns go-github and ghinstallation.
//
// What a webhook asks for is decided by a pure function over small structs of our own; what needs an answer of GitHub before it is a want
// becomes a [deployments.Request], which the [Bot] resolves as the controller's Clerk.
package bot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"vitrine/bot/internal/line"
	"vitrine/deployments"
)

// The addresses of github.com, which stand where a Config names no others.
const (
	defaultURL    = "https://github.com"
	defaultAPIURL = "https://api.github.com"
)

// How long GitHub is waited for. Whoever asks for a head holds a build slot, and goes on without GitHub where that is safe.
const (
	answerTime = 10 * time.Second // until the answer to one request begins
	callTime   = 20 * time.Second // for what one call of a port does, all its requests together
	headTime   = 10 * time.Second // for one call of Head
	reportTime = 2 * time.Minute  // for one of Report, whose writes wait for their turn behind those of the installation's other reports
	writePause = line.WritePause  // between what is written, when it is much
)

// Environments is what the bot reads of the records: for /status, and to refuse commands on what is not there. It must be safe to use side by side.
type Environments interface {
	// EnvironmentOf returns the one of an Origin.Key, or deployments.ErrNotFound.
	EnvironmentOf(ctx context.Context, origin string) (deployments.Environment, error)
	// HostState says what is known of a host's label ("shop-pr-42").
	HostState(ctx context.Context, label string) (deployments.HostState, error)
}

// Config is what a Bot needs to know.
type Config struct {
	AppID         int64
	PrivateKey    []byte // of the App, PEM
	WebhookSecret string
	// URL is where the forge's pages and repositories are, APIURL its REST address. They default to github.com's.
	URL, APIURL string
	// Transport carries every request to the forge; nil stands for http.DefaultTransport.
	Transport http.RoundTripper
	// TTL is what /extend without a duration adds to an environment's expiry; one that is longer than MaxTTL is cut to it.
	TTL, MaxTTL time.Duration
	// PreviewURL returns the address of the preview whose host has the label given ("shop-pr-42").
	PreviewURL func(label string) string
	States     Environments
	// Permissions are what the App should be permitted, with the level of each, "read" or "write". What an installation lacks of them is logged.
	Permissions map[string]string
	// Serves says which repositories, by "owner/name", are served; nil stands for those of the App's owner, whom GitHub is asked for.
	Serves func(repo string) bool
	// Logs hands on what services print and printed, for /logs, with what is secret masked; see [deployments.Runtime]. It may be called side by side. Where it
	// is nil, /logs is refused.
	Logs func(ctx context.Context, q deployments.LogQuery, line func(deployments.LogLine) error) error
	Now  func() time.Time // nil stands for time.Now
	Log  *slog.Logger     // nil logs nothing

	answerTime, callTime, headTime, reportTime, writePause time.Duration // zero stands for the constants of these names
}

// A Bot is a GitHub App at work. It is safe for use side by side and starts no goroutines. An error that GitHub is to blame for is a
// [deployments.Unavailable].
type Bot struct {
	config Config
	apps   *installations
	known  *known
	missed missed

	mu     sync.Mutex
	lost   map[string]bool    // outputs that GitHub does not take, and that were logged
	shown  map[int64][32]byte // what this process last wrote into a comment, by its number
	botted string             // the App's login, once it was asked for
	owner  *string            // the login of the App's owner, once it was asked for
}

var (
	_ deployments.Forge    = (*Bot)(nil)
	_ deployments.Clerk    = (*Bot)(nil)
	_ deployments.Reporter = (*Bot)(nil)
)

// New returns the Bot of an App. It sends nothing; a configuration that cannot work is an error that names what is wrong.
func New(c Config) (*Bot, error) {
	if c.URL == "" {
		c.URL = defaultURL
	}
	if c.APIURL == "" {
		c.APIURL = defaultAPIURL
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.answerTime = cmp.Or(c.answerTime, answerTime)
	c.callTime = cmp.Or(c.callTime, callTime)
	c.headTime = cmp.Or(c.headTime, headTime)
	c.reportTime = cmp.Or(c.reportTime, reportTime)
	c.writePause = cmp.Or(c.writePause, writePause)
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("configure the GitHub App: %w", err)
	}
	c.URL = strings.TrimRight(c.URL, "/")
	apps, err := newInstallations(c)
	if err != nil {
		return nil, fmt.Errorf("configure the GitHub App: %w", err)
	}
	known, err := newKnown()
	if err != nil {
		return nil, fmt.Errorf("configure the GitHub App: %w", err)
	}
	return &Bot{config: c, apps: apps, known: known, lost: map[string]bool{}, shown: map[int64][32]byte{}}, nil
}

// check returns everything that is wrong with the configuration.
func (c Config) check() error {
	var errs []error
	require := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	require(c.AppID > 0, "the App's id is missing")
	require(len(c.PrivateKey) > 0, "the App's private key is missing")
	require(c.WebhookSecret != "", "the webhook secret is missing; without one, anybody could send webhooks")
	require(isHTTP(c.URL), fmt.Sprintf("the web address %q is no http or https URL", c.URL))
	require(isHTTP(c.APIURL), fmt.Sprintf("the API address %q is no http or https URL", c.APIURL))
	require(c.TTL > 0, "the ttl is not above zero")
	require(c.MaxTTL >= c.TTL, "the longest ttl is below the ttl")
	require(c.PreviewURL != nil, "previews have no address")
	require(c.States != nil, "there are no records to read")
	return errors.Join(errs...)
}

func isHTTP(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// lose notes that an output cannot be brought out, for want of a permission or of the place where it belongs. The first time in this process
// it is logged, as repeating it helps nobody.
func (b *Bot) lose(output, repo string, err error) {
	key := fmt.Sprintf("%s %s %d", output, repo, statusOf(err))
	b.mu.Lock()
	known := b.lost[key]
	b.lost[key] = true
	b.mu.Unlock()
	owner, _, _ := strings.Cut(repo, "/")
	if !known && !(unpermitted(err) && b.apps.told(owner)) {
		b.config.Log.Warn("GitHub refuses the App this: a permission is missing, or the place is gone; said once",
			"output", output, "repo", repo, "error", err)
	}
}

package bot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"
)

// tokenLeft is how long a token for git is valid at least.
const tokenLeft = 10 * time.Minute

// errNotInstalled is returned where the App is not installed on a repository, or the repository is not there.
var errNotInstalled = errors.New("the App is not installed on the repository")

// installations finds the App's installation on each repository and keeps a client for each installation, and a token for git for each
// repository. It is safe for use side by side.
type installations struct {
	config Config
	app    *github.Client // authenticated as the App itself

	mu      sync.Mutex
	repos   map[string]int64         // the installation on each repository
	clients map[int64]*github.Client // by installation
	git     map[string]gitToken
}

func newInstallations(c Config) (*installations, error) {
	tr, err := ghinstallation.NewAppsTransport(c.Transport, c.AppID, c.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("read the App's private key: %w", err)
	}
	app, err := newClient(c, tr)
	if err != nil {
		return nil, err
	}
	return &installations{
		config: c, app: app,
		repos: map[string]int64{}, clients: map[int64]*github.Client{}, git: map[string]gitToken{},
	}, nil
}

func newClient(c Config, tr http.RoundTripper) (*github.Client, error) {
	base, err := url.Parse(strings.TrimRight(c.APIURL, "/") + "/")
	if err != nil {
		return nil, fmt.Errorf("read the API address: %w", err)
	}
	client := github.NewClient(&http.Client{Transport: tr, CheckRedirect: sameHost})
	client.BaseURL = base
	return client, nil
}

// sameHost follows a redirect (GitHub's answer about a renamed repository) only where it stays, as the transport would hand the token to any host.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) > 3 {
		return errors.New("more than three redirects")
	}
	if req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
		return fmt.Errorf("redirected to another host, %s", req.URL.Host)
	}
	return nil
}

// client returns the one for the installation on the repository.
func (in *installations) client(ctx context.Context, repo string) (*github.Client, error) {
	id, err := in.installation(ctx, repo)
	if err != nil {
		return nil, err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if c := in.clients[id]; c != nil {
		return c, nil
	}
	tr, err := in.transport(id, &github.InstallationTokenOptions{})
	if err != nil {
		return nil, err
	}
	c, err := newClient(in.config, tr)
	if err != nil {
		return nil, err
	}
	in.clients[id] = c
	return c, nil
}

// installation returns the number of the App's installation on the repository.
func (in *installations) installation(ctx context.Context, repo string) (int64, error) {
	in.mu.Lock()
	id, known := in.repos[repo]
	in.mu.Unlock()
	if known {
		return id, nil
	}
	owner, name, err := split(repo)
	if err != nil {
		return 0, err
	}
	found, _, err := in.app.Apps.FindRepositoryInstallation(ctx, owner, name)
	if statusOf(err) == http.StatusNotFound {
		return 0, fmt.Errorf("%s: %w", repo, errNotInstalled)
	}
	if err != nil {
		return 0, fmt.Errorf("find the App's installation on %s: %w", repo, err)
	}
	in.mu.Lock()
	in.repos[repo] = found.GetID()
	in.mu.Unlock()
	return found.GetID(), nil
}

// transport authenticates requests as an installation. Each has an AppsTransport of its own, since ghinstallation writes to it without a lock
// when it renews a token.
func (in *installations) transport(id int64, options *github.InstallationTokenOptions) (*ghinstallation.Transport, error) {
	tr, err := ghinstallation.New(in.config.Transport, in.config.AppID, id, in.config.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("read the App's private key: %w", err)
	}
	tr.BaseURL = strings.TrimRight(in.config.APIURL, "/")
	tr.InstallationTokenOptions = options
	return tr, nil
}

// gitToken returns a token that reads the repository's contents, no other repository's and nothing else, and that is valid for tokenLeft at least.
func (in *installations) gitToken(ctx context.Context, repo string) (string, error) {
	in.mu.Lock()
	kept := in.git[repo]
	in.mu.Unlock()
	if kept.expires.Sub(in.config.Now()) >= tokenLeft {
		return kept.token, nil
	}
	id, err := in.installation(ctx, repo)
	if err != nil {
		return "", err
	}
	_, name, err := split(repo)
	if err != nil {
		return "", err
	}
	tr, err := in.transport(id, &github.InstallationTokenOptions{
		Repositories: []string{name},
		Permissions:  &github.InstallationPermissions{Contents: github.String("read")},
	})
	if err != nil {
		return "", err
	}
	fresh := gitToken{}
	if fresh.token, err = tr.Token(ctx); err != nil {
		return "", in.failed(repo, fmt.Errorf("get a token for %s: %w", repo, err))
	}
	if fresh.expires, _, err = tr.Expiry(); err != nil {
		return "", fmt.Errorf("get a token for %s: %w", repo, err)
	}
	in.mu.Lock()
	in.git[repo] = fresh
	in.mu.Unlock()
	return fresh.token, nil
}

// A gitToken is one for git, and when it ends.
type gitToken struct {
	token   string
	expires time.Time
}

// failed looks at an error of a request about the repository. Where no token is given any more, the App was taken away or installed anew:
// what is remembered of the repository is forgotten, so that the next request asks again.
func (in *installations) failed(repo string, err error) error {
	var refused *ghinstallation.HTTPError
	if !errors.As(err, &refused) || refused.Response == nil {
		return err
	}
	refused.Response.Body.Close()
	if s := refused.Response.StatusCode; s >= 400 && s < 500 {
		in.mu.Lock()
		delete(in.clients, in.repos[repo])
		delete(in.repos, repo)
		delete(in.git, repo)
		in.mu.Unlock()
	}
	return err
}

// statusOf returns the status of GitHub's answer where err is one, else 0. Rate limits are none: they pass, and are errors like a broken line.
func statusOf(err error) int {
	var answer *github.ErrorResponse
	if errors.As(err, &answer) && answer.Response != nil {
		return answer.Response.StatusCode
	}
	return 0
}

package bot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"

	"vitrine/bot/internal/line"
	"vitrine/deployments"
)

// errNotInstalled is returned where the App is not installed on a repository or suspended there, or the repository is not there.
var errNotInstalled = errors.New("the App is not installed on the repository, or suspended there")

// installations finds the App's installation on each repository and keeps a client for each installation, and a token for git for each
// repository. Whether a repository is one of the App's, only GitHub's answer to the App itself says. It is safe for use side by side.
type installations struct {
	config Config
	trunk  *line.Trunk
	app    *github.Client // authenticated as the App itself

	mu      sync.Mutex
	repos   map[string]int64         // the installation on each repository, by its name in lower case
	clients map[int64]*github.Client // by installation
	lines   map[int64]*line.Line     // the same; a new client has the old line
	git     map[string]*tokenSource  // by the repository's name in lower case
	lacking map[string][]string      // what was logged that an installation lacks, by its account's login in lower case
}

func newInstallations(c Config) (*installations, error) {
	in := &installations{config: c, repos: map[string]int64{}, clients: map[int64]*github.Client{}, lines: map[int64]*line.Line{}, git: map[string]*tokenSource{}, lacking: map[string][]string{}}
	trunk, err := line.New(line.Config{Transport: c.Transport, AnswerTime: c.answerTime, WritePause: c.writePause, Now: c.Now, Log: c.Log})
	if err != nil {
		return nil, err
	}
	in.trunk = trunk
	tr, err := ghinstallation.NewAppsTransport(in.trunk.Line("the App"), c.AppID, c.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("read the App's private key: %w", err)
	}
	if in.app, err = newClient(c, tr); err != nil {
		return nil, err
	}
	return in, nil
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
	return in.clientOf(id)
}

// clientOf returns the one for an installation.
func (in *installations) clientOf(id int64) (*github.Client, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if c := in.clients[id]; c != nil {
		return c, nil
	}
	tokens := newTokenSource(in.app, id, &github.InstallationTokenOptions{}, in.config.Now)
	way := in.lines[id]
	if way == nil {
		way = in.trunk.Line(fmt.Sprintf("installation %d", id))
		in.lines[id] = way
	}
	c, err := newClient(in.config, way.InTurn(&authorized{tokens: tokens, next: way}))
	if err != nil {
		return nil, err
	}
	in.clients[id] = c
	return c, nil
}

// installation returns the number of the App's installation on the repository.
func (in *installations) installation(ctx context.Context, repo string) (int64, error) {
	key := strings.ToLower(repo)
	in.mu.Lock()
	id, known := in.repos[key]
	in.mu.Unlock()
	if known {
		return id, nil
	}
	owner, name, err := split(repo)
	if err != nil {
		return 0, err
	}
	found, _, err := in.app.Apps.FindRepositoryInstallation(ctx, owner, name)
	if statusOf(err) == http.StatusNotFound || err == nil && found.SuspendedAt != nil {
		err = errNotInstalled
	}
	if err != nil {
		return 0, away(ctx, fmt.Errorf("find the App's installation on %s: %w", repo, err))
	}
	in.mu.Lock()
	in.repos[key] = found.GetID()
	in.mu.Unlock()
	return found.GetID(), nil
}

// gitToken returns a token that reads the repository's contents, no other repository's and nothing else, and that is valid for tokenLeft at least.
// While one is at hand, GitHub need not answer.
func (in *installations) gitToken(ctx context.Context, repo string) (string, error) {
	tokens, err := in.gitTokens(ctx, repo)
	if err != nil {
		return "", err
	}
	token, err := tokens.token(ctx)
	return token, in.failed(ctx, repo, err)
}

func (in *installations) gitTokens(ctx context.Context, repo string) (*tokenSource, error) {
	key := strings.ToLower(repo)
	in.mu.Lock()
	known := in.git[key]
	in.mu.Unlock()
	if known != nil {
		return known, nil
	}
	id, err := in.installation(ctx, repo)
	if err != nil {
		return nil, err
	}
	_, name, err := split(repo)
	if err != nil {
		return nil, err
	}
	fresh := newTokenSource(in.app, id, &github.InstallationTokenOptions{
		Repositories: []string{name},
		Permissions:  &github.InstallationPermissions{Contents: github.String("read")},
	}, in.config.Now)
	in.mu.Lock()
	defer in.mu.Unlock()
	if known := in.git[key]; known != nil {
		return known, nil
	}
	in.git[key] = fresh
	return fresh, nil
}

// failed says who is waited for after an error of a request about the repository; see away. Where GitHub gives no token, or does not take one that
// it gave, the App was taken away or installed anew: what is remembered of the repository is forgotten, so that the next request asks again.
func (in *installations) failed(ctx context.Context, repo string, err error) error {
	var refusal *tokenRefusal
	if errors.As(err, &refusal) || statusOf(err) == http.StatusUnauthorized {
		in.mu.Lock()
		delete(in.clients, in.repos[strings.ToLower(repo)])
		in.mu.Unlock()
		in.forget(repo)
	}
	return away(ctx, err)
}

// doubt has the App's installation on the repository asked for again.
func (in *installations) doubt(repo string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.repos, strings.ToLower(repo))
}

// forget has the App's installation on the repository asked for again, and the token for git.
func (in *installations) forget(repo string) {
	in.doubt(repo)
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.git, strings.ToLower(repo))
}

// withdraw forgets the repositories that GitHub has withdrawn. What is public could still be read, so that only the installation tells.
func (in *installations) withdraw(withdrawals []deployments.Withdrawal) {
	for _, w := range withdrawals {
		if w.Name != "" {
			in.forget(w.Owner + "/" + w.Name)
			continue
		}
		prefix := strings.ToLower(w.Owner) + "/"
		for _, repo := range in.known() {
			if strings.HasPrefix(repo, prefix) {
				in.forget(repo)
			}
		}
	}
}

// known returns the repositories that something is remembered of, in lower case.
func (in *installations) known() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	known := make([]string, 0, len(in.repos))
	for repo := range in.repos {
		known = append(known, repo)
	}
	return known
}

package bot

import (
	"context"
	"fmt"
	"strings"

	"vitrine/deployments"
)

// causeUnserved is why nothing of a repository is open to us that is not served.
const causeUnserved = "the server does not serve the repository (its setting repos)"

// serves reports whether a repository is served, and asks GitHub whose the App is where that decides.
func (b *Bot) serves(ctx context.Context, repo string) (bool, error) {
	if b.config.Serves != nil {
		return b.config.Serves(repo), nil
	}
	owner, err := b.appOwner(ctx)
	return ofOwner(repo, owner), err
}

// unserved reports whether it is known, without asking anybody, that a repository is not served.
func (b *Bot) unserved(repo string) bool {
	if b.config.Serves != nil {
		return !b.config.Serves(repo)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.owner != nil && !ofOwner(repo, *b.owner)
}

func ofOwner(repo, owner string) bool {
	of, _, _ := strings.Cut(repo, "/")
	return owner != "" && strings.EqualFold(of, owner)
}

// appOwner returns the login of the account that the App is registered in, "" where that is none that has repositories. GitHub is asked once.
func (b *Bot) appOwner(ctx context.Context) (string, error) {
	b.mu.Lock()
	owner := b.owner
	b.mu.Unlock()
	if owner != nil {
		return *owner, nil
	}
	app, _, err := b.apps.app.Apps.Get(ctx, "")
	if err != nil {
		return "", fmt.Errorf("ask for the App's owner: %w", away(ctx, err))
	}
	login := app.GetOwner().GetLogin()
	if login == "" {
		b.config.Log.Warn("GitHub names no account as the App's owner, so that no repository is served; name them in the setting repos")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.owner = &login
	return login, nil
}

// limit takes out of a delivery what it asks for in repositories that are known not to be served. What is withdrawn or renamed counts all the same: it may
// have been served before.
func (b *Bot) limit(d deployments.Delivery) deployments.Delivery {
	var wants []deployments.Want
	for _, w := range d.Wants {
		if !b.unserved(w.Origin.Repo) {
			wants = append(wants, w)
		}
	}
	var requests []deployments.Request
	for _, r := range d.Requests {
		if !b.unserved(r.Origin.Repo) {
			requests = append(requests, r)
		}
	}
	d.Wants, d.Requests = wants, requests
	return d
}

package bot

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"vitrine/bot/internal/show"
	"vitrine/deployments"
)

// Report implements [deployments.Reporter]: it brings the comment under a pull request, the check of its head and its GitHub deployments to what the record
// says. What is there already is not written again, and what somebody deleted is written anew. Where the App may not write one of them, or its place is
// gone, that one is lost and the others go on; this is no error.
func (b *Bot) Report(ctx context.Context, r deployments.PendingReport) (json.RawMessage, error) {
	ctx, cancel := within(ctx, b.config.reportTime)
	defer cancel()
	e := r.Environment
	if _, _, err := split(e.Origin.Repo); err != nil {
		return nil, nil // given by hand, or of a repository that another one took the name of
	}
	n, err := notesOf(e)
	if err != nil {
		return nil, err
	}
	v := show.View{
		PendingReport: r, Address: b.config.PreviewURL, Now: b.config.Now(), Known: n.known(), Reopens: e.Cause == causeClosed,
		Undeployable: e.Skipped == deployments.SkipNothing,
	}
	var errs []error
	for _, output := range []struct {
		name  string
		bring func(context.Context, show.View, *notes) error
	}{{"the comment", b.bringComment}, {"the check", b.bringChecks}, {"the deployment", b.bringDeployments}} {
		err := output.bring(ctx, v, &n)
		if forbidden(err) || statusOf(err) == http.StatusUnprocessableEntity { // the commit is not there any more
			b.lose(output.name, e.Origin.Repo, err)
			continue
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return n.encode(), fmt.Errorf("report %s: %w", e.Name, err)
	}
	return n.encode(), nil
}

func (b *Bot) bringComment(ctx context.Context, v show.View, n *notes) error {
	body := v.Comment()
	if v.Environment.Origin.PullRequest == 0 || body == "" {
		return nil
	}
	id, err := b.show(ctx, v.Environment, n.Comment, body+"\n\n"+marker(v.Environment), v.WorthAComment())
	n.Comment = id
	return err
}

// marker is hidden in the comment of an environment, and finds it again where its number was lost.
func marker(e deployments.Environment) string {
	return fmt.Sprintf("<!-- vitrine:preview:%s -->", e.Name)
}

// show brings the environment's comment to body and returns its number; known is the one that it had, 0 for none. fresh lets it write a first one; one that somebody deleted is written
// anew in any case. Before a comment is written it is looked for: GitHub may have taken one and its answer been lost.
func (b *Bot) show(ctx context.Context, e deployments.Environment, known int64, body string, fresh bool) (int64, error) {
	r, err := b.repository(ctx, e.Origin.Repo)
	if err != nil {
		return known, err
	}
	if known != 0 {
		err := b.bring(ctx, r, known, body)
		if !gone(err) {
			return known, err
		}
		b.forget(known)
	}
	there, err := r.ownComment(ctx, e.Origin.PullRequest, marker(e), time.Time{})
	if err != nil {
		return known, err
	}
	if id := there.GetID(); id != 0 {
		if there.GetBody() == body {
			b.remember(id, body)
		}
		return id, b.bring(ctx, r, id, body)
	}
	if !fresh && known == 0 {
		return 0, nil
	}
	id, err := r.createComment(ctx, e.Origin.PullRequest, body)
	if err != nil {
		return known, err
	}
	b.remember(id, body)
	return id, nil
}

// bring edits a comment unless it has the text already. One that is gone is an error that says so; see gone.
func (b *Bot) bring(ctx context.Context, r repository, id int64, body string) error {
	b.mu.Lock()
	last, known := b.shown[id]
	b.mu.Unlock()
	if known && last == sha256.Sum256([]byte(body)) {
		return nil
	}
	if !known {
		there, err := r.comment(ctx, id)
		if err != nil {
			return err
		}
		if there == body {
			b.remember(id, body)
			return nil
		}
	}
	b.forget(id) // an edit that gets no answer may have been made
	if err := r.editComment(ctx, id, body); err != nil {
		return err
	}
	b.remember(id, body)
	return nil
}

func (b *Bot) remember(id int64, body string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shown[id] = sha256.Sum256([]byte(body))
}

func (b *Bot) forget(id int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.shown, id)
}

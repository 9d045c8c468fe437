package bot

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"vitrine/deployments"
)

// Report implements [deployments.Reporter]: it keeps the one comment of a pull request at what the record says. A comment that somebody deleted is
// written anew; a text that is there already is not written again. Where the pull request is gone or the App may not write, the comment is lost
// and that is no error.
func (b *Bot) Report(ctx context.Context, r deployments.PendingReport) (json.RawMessage, error) {
	ctx, cancel := within(ctx, b.config.callTime)
	defer cancel()
	e := r.Environment
	if e.Origin.Repo == "" || e.Origin.PullRequest == 0 {
		return nil, nil
	}
	n, err := notesOf(e)
	if err != nil {
		return nil, err
	}
	view := view{PendingReport: r, url: b.config.PreviewURL, now: b.config.Now()}
	body := view.render()
	if body == "" {
		return nil, nil
	}
	body += "\n\n" + marker(e)
	n.Comment, err = b.show(ctx, e, n.Comment, body, view.worthAComment())
	if forbidden(err) {
		b.lose("the comment", e.Origin.Repo, err)
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("report %s: %w", e.Name, err)
	}
	return n.encode(), err
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

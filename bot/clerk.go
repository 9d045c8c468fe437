package bot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"vitrine/deployments"
)

// Resolve implements [deployments.Clerk]: it finds out whether a pushed branch is tracked, or whether a comment's author may command.
func (b *Bot) Resolve(ctx context.Context, r deployments.Request) (deployments.Resolution, error) {
	ctx, cancel := within(ctx, b.config.callTime)
	defer cancel()
	q, err := questionOf(r)
	if err != nil {
		// Nothing will ever make sense of it, so that waiting helps nobody.
		b.config.Log.Error("drop a request", "request", r.ID, "origin", r.Origin.Key(), "error", err)
		return deployments.Resolution{State: deployments.RequestIgnored}, nil
	}
	repo, err := b.repository(ctx, r.Origin.Repo)
	if errors.Is(err, errNotInstalled) {
		return deployments.Resolution{State: deployments.RequestIgnored, Event: "skipped: the App is not installed on the repository any more"}, nil
	}
	if err != nil {
		return deployments.Resolution{}, fmt.Errorf("resolve request %d: %w", r.ID, err)
	}
	var resolution deployments.Resolution
	if q.Push != nil {
		resolution, err = b.resolvePush(ctx, repo, r.Origin, *q.Push)
	} else {
		resolution, err = b.resolveCommand(ctx, repo, r.Origin, *q.Comment)
	}
	if err != nil {
		return deployments.Resolution{}, fmt.Errorf("resolve request %d: %w", r.ID, err)
	}
	return resolution, nil
}

func (b *Bot) resolvePush(ctx context.Context, repo repository, o deployments.Origin, p push) (deployments.Resolution, error) {
	_, up, err := b.environment(ctx, o)
	if err != nil {
		return deployments.Resolution{}, err
	}
	tracked, err := repo.tracks(ctx, o.Branch)
	if fault := deployments.FaultOf(err); fault != nil {
		if !up {
			return deployments.Resolution{State: deployments.RequestIgnored, Event: "skipped: " + fault.Error()}, nil
		}
		tracked, err = true, nil // the deploy says what is wrong; see branchHead
	}
	if err != nil {
		return deployments.Resolution{}, err
	}
	want := deployments.Want{Origin: o, By: deployments.ByEvent}
	switch {
	case tracked:
		want.Intent = deployments.Up
		want.Source = deployments.Source{Repo: o.Repo, Branch: o.Branch, SHA: p.SHA}
		want.Cause = "push " + want.Source.ShortSHA()
	case up:
		want.Intent, want.Cause = deployments.Gone, fmt.Sprintf("branch %q is not tracked any more", o.Branch)
	default:
		return deployments.Resolution{State: deployments.RequestIgnored}, nil
	}
	return deployments.Resolution{State: deployments.RequestSucceeded, Wants: []deployments.Want{want}}, nil
}

func (b *Bot) resolveCommand(ctx context.Context, repo repository, o deployments.Origin, c comment) (deployments.Resolution, error) {
	may, reason, err := b.may(ctx, repo, c)
	if err != nil {
		return deployments.Resolution{}, err
	}
	if !may {
		return refuse(c, reason), nil
	}
	duration, wrong := c.Command.check(b.config.MaxTTL)
	if wrong != "" {
		return refuse(c, wrong), nil
	}
	if c.Command.Verb == help {
		return deployments.Resolution{State: deployments.RequestSucceeded, Reply: helpText()}, nil
	}
	if c.Command.Verb == deploy {
		return b.resolveDeploy(ctx, repo, o, c)
	}
	environment, up, err := b.environment(ctx, o)
	if err != nil {
		return deployments.Resolution{}, err
	}
	if c.Command.Verb == status {
		reply, err := b.statusText(ctx, environment)
		return deployments.Resolution{State: deployments.RequestSucceeded, Reply: reply}, err
	}
	if !up {
		return refuse(c, fmt.Sprintf("There is no preview here that `/%s` could be about. `/deploy` starts one.", c.Command.Verb)), nil
	}
	want := deployments.Want{Origin: o, By: deployments.ByHand, Cause: c.cause()}
	if c.Command.Verb == extend {
		want.Intent, want.Extend = deployments.Keep, duration
		if want.Extend == 0 {
			want.Extend = b.config.TTL
		}
		return deployments.Resolution{
			State: deployments.RequestSucceeded, Wants: []deployments.Want{want},
			Event: fmt.Sprintf("extended by %s (%s)", spell(want.Extend), c.User),
		}, nil
	}
	want.Intent = deployments.Gone
	if c.Command.Verb == reset {
		want.Intent, want.Force, want.Reset = deployments.Up, true, true
	}
	return deployments.Resolution{State: deployments.RequestTaken, Wants: []deployments.Want{want}}, nil
}

// resolveDeploy asks for the pull request as it is now: the head that was commanded is the one that is there.
func (b *Bot) resolveDeploy(ctx context.Context, repo repository, o deployments.Origin, c comment) (deployments.Resolution, error) {
	head, err := repo.pullHead(ctx, o.PullRequest)
	switch {
	case gone(err) || err == nil && !head.Open:
		return refuse(c, "The pull request is closed. Reopen it, and its preview comes back."), nil
	case err != nil:
		return deployments.Resolution{}, err
	case head.Skip == skipFork:
		return refuse(c, "The pull request comes from a fork. Code from forks is not deployed; push the branch to this repository to preview it."), nil
	case head.Skip == skipArchived:
		return refuse(c, "The repository is archived. Unarchive it to preview its pull requests."), nil
	case head.Skip == skipTitle:
		return refuse(c, "The title of the pull request says `[skip preview]`. Take that out first."), nil
	}
	return deployments.Resolution{State: deployments.RequestTaken, Wants: []deployments.Want{{
		Origin: o, Source: head.Source, Title: head.Title,
		Intent: deployments.Up, By: deployments.ByHand, Cause: c.cause(), Force: true,
	}}}, nil
}

// may asks GitHub whether the comment's author may command this. What a webhook says of the author is not trusted.
func (b *Bot) may(ctx context.Context, repo repository, c comment) (ok bool, reason string, err error) {
	permission, err := repo.permission(ctx, c.User)
	if forbidden(err) {
		b.lose("permissions", repo.String(), err)
		return false, "GitHub does not tell this App who may do what here, so nobody may command it. An owner can grant it the permissions that it asks for.", nil
	}
	if err != nil {
		return false, "", err
	}
	switch permission {
	case "admin", "maintain", "write":
		return true, "", nil
	case "read", "triage":
		if !c.Command.Verb.changes() {
			return true, "", nil
		}
		return false, fmt.Sprintf("`/%s` needs write access to %s, which %s does not have.", c.Command.Verb, code(repo.String()), code(c.User)), nil
	default:
		return false, fmt.Sprintf("`/%s` needs access to %s, which %s does not have.", c.Command.Verb, code(repo.String()), code(c.User)), nil
	}
}

func refuse(c comment, reply string) deployments.Resolution {
	return deployments.Resolution{
		State: deployments.RequestRefused, Reply: reply,
		Event: fmt.Sprintf("refused /%s of %s: %s", c.Command.Verb, c.User, strings.ReplaceAll(reply, "`", "")),
	}
}

// cause says who commanded what.
func (c comment) cause() string { return fmt.Sprintf("/%s by %s", c.Command.Verb, c.User) }

// environment returns the one of an origin, and whether it is there and wanted.
func (b *Bot) environment(ctx context.Context, o deployments.Origin) (e deployments.Environment, up bool, err error) {
	e, err = b.config.States.EnvironmentOf(ctx, o.Key())
	if errors.Is(err, deployments.ErrNotFound) {
		return deployments.Environment{}, false, nil
	}
	if err != nil {
		return e, false, fmt.Errorf("look up the environment of %s: %w", o.Key(), err)
	}
	return e, e.Intent == deployments.Up, nil
}

// Answer implements [deployments.Clerk]: a reaction to the command's comment, and one reply where there is something to say. A reaction that is
// there already stays, and so does a reply.
func (b *Bot) Answer(ctx context.Context, r deployments.Request) error {
	ctx, cancel := within(ctx, b.config.callTime)
	defer cancel()
	q, err := questionOf(r)
	if err != nil || q.Comment == nil {
		return nil // dropped by Resolve, which said so, or a push, where nobody waits for an answer
	}
	reaction := map[deployments.RequestState]string{
		deployments.RequestTaken:     "eyes",
		deployments.RequestSucceeded: "rocket",
		deployments.RequestFailed:    "confused",
		deployments.RequestRefused:   "confused",
	}[r.State]
	if reaction == "" {
		return nil
	}
	repo, err := b.repository(ctx, r.Origin.Repo)
	if err == nil {
		if err = repo.react(ctx, q.Comment.ID, reaction); forbidden(err) {
			b.lose("reactions", r.Origin.Repo, err)
			err = nil
		}
	}
	if err == nil && r.Reply != "" {
		err = repo.reply(ctx, r.Origin.PullRequest, *q.Comment, r.Reply)
	}
	if forbidden(err) {
		b.lose("replies", r.Origin.Repo, err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("answer request %d: %w", r.ID, err)
	}
	return nil
}

// reply writes the reply to a command unless it is there.
func (r repository) reply(ctx context.Context, number int, c comment, reply string) error {
	// Clocks of several machines of the forge differ a little.
	since := c.At.Add(-time.Minute)
	if c.At.IsZero() {
		since = time.Time{}
	}
	there, err := r.ownComment(ctx, number, c.marker(), since)
	if err != nil || there != nil {
		return err
	}
	_, err = r.createComment(ctx, number, reply+"\n\n"+c.marker())
	return err
}

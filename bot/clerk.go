package bot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"vitrine/deployments"
)

// Resolve implements [deployments.Clerk]: it finds out whether a pushed branch is tracked, what the rules say of a pull request that changed, and whether
// somebody may command.
func (b *Bot) Resolve(ctx context.Context, r deployments.Request) (deployments.Resolution, error) {
	ctx, cancel := within(ctx, b.config.callTime)
	defer cancel()
	q, err := questionOf(r)
	if err != nil {
		// Nothing will ever make sense of it, so that waiting helps nobody.
		b.config.Log.Error("drop a request", "request", r.ID, "origin", r.Origin.Key(), "error", err)
		return deployments.Resolution{State: deployments.RequestIgnored}, nil
	}
	resolution, err := b.resolve(ctx, r.Origin, q)
	if errors.Is(err, errNotInstalled) {
		return deployments.Resolution{State: deployments.RequestIgnored, Event: "skipped: " + causeNotInstalled}, nil
	}
	if err != nil {
		return deployments.Resolution{}, fmt.Errorf("resolve request %d: %w", r.ID, err)
	}
	return resolution, nil
}

func (b *Bot) resolve(ctx context.Context, o deployments.Origin, q question) (deployments.Resolution, error) {
	served, err := b.serves(ctx, o.Repo)
	if err != nil {
		return deployments.Resolution{}, err
	}
	if !served {
		return deployments.Resolution{State: deployments.RequestIgnored}, nil
	}
	repo, err := b.repository(ctx, o.Repo)
	switch {
	case err != nil:
		return deployments.Resolution{}, err
	case q.Push != nil:
		return b.resolvePush(ctx, repo, o, *q.Push)
	case q.Change != nil:
		return b.resolveChange(ctx, o, *q.Change)
	case q.Button != nil:
		return b.resolveButton(ctx, repo, o, *q.Button)
	default:
		return b.resolveCommand(ctx, repo, o, *q.Comment)
	}
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

// resolveChange holds what an environment wants against the rules as they are now. What changes nothing stirs nothing: a label does not cancel a build, and
// what a person has deployed against a rule stays until the next commit.
func (b *Bot) resolveChange(ctx context.Context, o deployments.Origin, c change) (deployments.Resolution, error) {
	head, err := b.presentHead(ctx, o)
	if err != nil {
		return deployments.Resolution{}, err
	}
	e, _, err := b.environment(ctx, o)
	if err != nil {
		return deployments.Resolution{}, err
	}
	e.Origin = o
	intent, source, cause := e.Resolve(head)
	want := deployments.Want{Origin: o, Title: head.Title, Intent: intent, By: deployments.ByEvent, Cause: cause}
	ignored := deployments.Resolution{State: deployments.RequestIgnored}
	switch {
	case intent == deployments.Up && e.Intent == deployments.Up && source.SHA == e.Source().SHA:
		return ignored, nil
	case intent == deployments.Up:
		want.Source, want.Cause = source, c.Action+" "+source.ShortSHA()
	case e.Generation == 0 && (!head.Open || head.Skip == deployments.SkipNothing):
		return ignored, nil
	case e.Intent == deployments.Gone && e.By != deployments.ByEvent: // it stays gone, whatever the rules say
		return ignored, nil
	case head.Open:
		want.Source, want.Skip = source, head.Skip
	}
	return deployments.Resolution{State: deployments.RequestSucceeded, Wants: []deployments.Want{want}}, nil
}

func (b *Bot) resolveCommand(ctx context.Context, repo repository, o deployments.Origin, c comment) (deployments.Resolution, error) {
	who := asker{user: c.User, does: "/" + string(c.Command.Verb)}
	reason, err := b.mayNot(ctx, repo, who, c.Command.Verb.changes())
	if err != nil {
		return deployments.Resolution{}, err
	}
	asked, wrong := c.Command.order(b.config.MaxTTL)
	if reason = cmp.Or(reason, wrong); reason != "" {
		return who.refused(reason), nil
	}
	switch c.Command.Verb {
	case help:
		return deployments.Resolution{State: deployments.RequestSucceeded, Reply: helpText()}, nil
	case deploy:
		return b.resolveWish(ctx, repo, o, wish{asker: who, at: c.At, commit: asked.commit, fresh: asked.fresh})
	}
	environment, up, err := b.environment(ctx, o)
	switch {
	case err != nil:
		return deployments.Resolution{}, err
	case c.Command.Verb == status:
		reply, err := b.statusText(ctx, environment)
		return deployments.Resolution{State: deployments.RequestSucceeded, Reply: reply}, err
	case c.Command.Verb == logs && environment.Generation > 0:
		return b.resolveLogs(ctx, environment, who, asked.service)
	case !up:
		return who.refused(fmt.Sprintf("There is no preview here that `%s` could be about. `/deploy` starts one.", who.does)), nil
	}
	return b.carryOut(environment, c.Command.Verb, asked, who), nil
}

// carryOut resolves a command about an environment that is up.
func (b *Bot) carryOut(e deployments.Environment, v verb, asked order, who asker) deployments.Resolution {
	want := deployments.Want{Origin: e.Origin, By: deployments.ByHand, Cause: who.cause()}
	r := deployments.Resolution{State: deployments.RequestSucceeded}
	switch v {
	case extend:
		want.Extend = cmp.Or(asked.extend, e.TTL, b.config.TTL)
		r.Event = fmt.Sprintf("extended by %s (%s)", spell(want.Extend), who.user)
	case pin, unpin:
		pinned := v == pin
		want.Pin = &pinned
		r.Event = fmt.Sprintf("%sned by %s", v, who.user)
	case destroy:
		want.Intent, r.State = deployments.Gone, deployments.RequestTaken
	case reset:
		if e.Held != "" && e.Live == 0 {
			return who.refused(fmt.Sprintf("Nothing was deployed here yet: %s waits for approval. `/deploy` approves it.", code(short(e.Held))))
		}
		want.Intent, want.Force, want.Reset, r.State = deployments.Up, true, true, deployments.RequestTaken
	}
	r.Wants = []deployments.Want{want}
	return r
}

// An asker is somebody who wants something done.
type asker struct {
	user string // a login
	does string // "/deploy", or what they pressed
}

// cause says who does what.
func (a asker) cause() string { return fmt.Sprintf("%s by %s", a.does, a.user) }

// refused is the resolution of what is not done, for a reason in Markdown.
func (a asker) refused(reason string) deployments.Resolution {
	return deployments.Resolution{
		State: deployments.RequestRefused, Reply: reason,
		Event: fmt.Sprintf("refused %s of %s: %s", a.does, a.user, strings.ReplaceAll(reason, "`", "")),
	}
}

// mayNot asks GitHub whether somebody may do this, which changes something or only tells, and returns why not; empty where they may. What a webhook says of
// them is not trusted.
func (b *Bot) mayNot(ctx context.Context, repo repository, who asker, changes bool) (reason string, err error) {
	permission, err := repo.permission(ctx, who.user)
	if forbidden(err) {
		b.lose("permissions", repo.String(), err)
		return "GitHub does not tell this App who may do what here, so nobody may command it. An owner can grant it the permissions that it asks for.", nil
	}
	if err != nil {
		return "", err
	}
	needs := "write access"
	switch permission {
	case "admin", "maintain", "write":
		return "", nil
	case "read", "triage":
		if !changes {
			return "", nil
		}
	default:
		needs = "access"
	}
	return fmt.Sprintf("`%s` needs %s to %s, which %s does not have.", who.does, needs, code(repo.String()), code(who.user)), nil
}

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
		return nil // dropped by Resolve, which said so, or nothing that was said under a pull request
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

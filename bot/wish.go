package bot

import (
	"context"
	"fmt"
	"strings"
	"time"

	"vitrine/deployments"
)

// A wish is what somebody who may write wants deployed: the head.
type wish struct {
	asker
	at     time.Time // when it was said; the zero time is before everything
	commit string    // what the head's name begins with; empty for the head that was known then
	fresh  bool
}

// resolveButton asks whether whoever pressed a check's button may deploy. It deploys the commit that the check is about and, of a fork, approves it.
func (b *Bot) resolveButton(ctx context.Context, repo repository, o deployments.Origin, p button) (deployments.Resolution, error) {
	who := asker{user: p.User, does: `"Deploy" on the check`}
	if p.Action == "rerequested" {
		who.does = `"Re-run" on the check`
	}
	reason, err := b.mayNot(ctx, repo, who, true)
	if err != nil {
		return deployments.Resolution{}, err
	}
	r := who.refused(reason)
	if reason == "" {
		r, err = b.resolveWish(ctx, repo, o, wish{asker: who, commit: p.SHA})
	}
	r.Reply = "" // a button has no place for one; the history has the reason
	return r, err
}

// resolveWish asks GitHub how things are now, and wants its head deployed.
func (b *Bot) resolveWish(ctx context.Context, repo repository, o deployments.Origin, w wish) (deployments.Resolution, error) {
	head, err := b.presentHead(ctx, o)
	if err != nil {
		return deployments.Resolution{}, err
	}
	if !head.Open {
		return w.refused(closedReply(o, head)), nil
	}
	if head.Skip != "" && head.Binding {
		return w.refused(bindingReply(head)), nil
	}
	there, err := repo.deployable(ctx, head.Source.SHA)
	if err != nil {
		return deployments.Resolution{}, err
	}
	if !there {
		head.Skip = deployments.SkipNothing
		return w.refused(bindingReply(head)), nil
	}
	e, _, err := b.environment(ctx, o)
	if err != nil {
		return deployments.Resolution{}, err
	}
	want := deployments.Want{
		Origin: o, Source: head.Source, Title: head.Title, Intent: deployments.Up, By: deployments.ByHand, Cause: w.cause(), Force: true, Fresh: w.fresh,
	}
	switch {
	case !strings.HasPrefix(head.Source.SHA, w.commit):
		return w.refuseOther(o, head, fmt.Sprintf("%s is not the head; that is %s now.", code(short(w.commit)), code(head.Source.ShortSHA()))), nil
	case !head.Source.Fork || head.Source.SHA == e.Approved:
	case w.commit == "" && e.Seen != head.Source.SHA:
		return w.refuseOther(o, head, fmt.Sprintf("The head is %s now, which was not known here when you wrote.", code(head.Source.ShortSHA()))), nil
	case w.commit == "" && e.SeenAt.After(w.at):
		return w.refuseOther(o, head, fmt.Sprintf("The head is %s now, which came after you wrote.", code(head.Source.ShortSHA()))), nil
	default:
		want.Approve = head.Source.SHA
		want.Cause += ", who approves " + head.Source.ShortSHA()
	}
	return deployments.Resolution{State: deployments.RequestTaken, Wants: []deployments.Want{want}}, nil
}

// refuseOther refuses to deploy, as the head is another one than was meant. A fork's is recorded, as its webhook will do too, so that the next /deploy can
// mean it: it waits for approval meanwhile.
func (w wish) refuseOther(o deployments.Origin, head deployments.Head, reason string) deployments.Resolution {
	sha := head.Source.ShortSHA()
	if !head.Source.Fork {
		return w.refused(fmt.Sprintf("%s `/deploy` deploys it.", reason))
	}
	r := w.refused(fmt.Sprintf("%s Look at it, and write `/deploy` again, or `/deploy %s`.", reason, sha))
	r.Wants = []deployments.Want{{
		Origin: o, Source: head.Source, Title: head.Title, Intent: deployments.Up, By: deployments.ByEvent, Cause: "found at " + sha,
	}}
	return r
}

// short returns the first seven digits of a commit.
func short(sha string) string { return deployments.Source{SHA: sha}.ShortSHA() }

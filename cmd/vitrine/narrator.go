package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"vitrine/cmd/internal/sample"
	"vitrine/deployments"
)

// A narrator tells what happens to the demo's first pull request, with the times that the records hold.
type narrator struct {
	*demo
	story *story
	sha   string

	start time.Time // of the webhook
	told  int       // how many of the lines below were told
}

// A line of the story is told once its moment is known.
type line struct {
	name, text string
	at         func(moment) time.Time // zero while it has not happened
}

// A moment is what the records hold when the narrator looks.
type moment struct {
	d       deployments.Deployment
	comment bool // the comment says ready
	button  bool // GitHub has a deployment that leads to the preview
	green   bool // the check has succeeded
}

func (n *narrator) lines() []line {
	short := n.sha[:7]
	return []line{
		{"fetch", short + " from " + sample.Repository, phaseStart(deployments.Fetching)},
		{"build", "web and api, side by side", phaseStart(deployments.Building)},
		{"start", "cache, api, web on a network of their own", phaseStart(deployments.Starting)},
		{"healthy", fmt.Sprintf("%d of %d", sample.Services, sample.Services), func(m moment) time.Time {
			if m.d.LiveAt.IsZero() {
				return time.Time{}
			}
			return m.d.CreatedAt.Add(total(m.d.Timings))
		}},
		{"route", "frontend:shop-pr-1." + n.server.Domain, func(m moment) time.Time { return m.d.LiveAt }},
		{"comment", "posted, check green, View deployment leads to it", func(m moment) time.Time {
			if !m.comment || !m.green || !m.button {
				return time.Time{}
			}
			return time.Now()
		}},
		{"push", "2 images safe in the registry", func(m moment) time.Time { return m.d.PushedAt }},
	}
}

// tell prints each line as it happens and returns after the last, or when the deployment failed.
func (n *narrator) tell(ctx context.Context) error {
	if err := n.webhook(ctx); err != nil {
		return err
	}
	lines := n.lines()
	return n.story.until(ctx, "the preview is live", func() (bool, error) {
		m, err := n.look(ctx)
		if err != nil {
			return false, err
		}
		if m.d.Phase == deployments.Failed {
			return false, fmt.Errorf("the preview failed: %s", m.d.Reason)
		}
		for n.told < len(lines) {
			at := lines[n.told].at(m)
			if at.IsZero() {
				return false, nil
			}
			n.say(at, lines[n.told].name, lines[n.told].text)
			n.told++
		}
		return true, nil
	})
}

// webhook tells of the delivery.
func (n *narrator) webhook(ctx context.Context) error {
	return n.story.until(ctx, "the webhook is answered", func() (bool, error) {
		for _, d := range n.github.Deliveries() {
			if d.Event != "pull_request" || !d.Done {
				continue
			}
			n.start = d.At
			n.say(d.At, "webhook", fmt.Sprintf("%s %s, %s", d.Event, d.Action, n.sha[:7]))
			n.say(d.At.Add(d.Took), "queued", fmt.Sprintf("stored, answered %d", d.Status))
			return true, nil
		}
		return false, nil
	})
}

// look reads the newest deployment of the pull request.
func (n *narrator) look(ctx context.Context) (moment, error) {
	var m moment
	e, err := n.server.store.EnvironmentOf(ctx, deployments.Origin{Repo: sample.Repository, PullRequest: 1}.Key())
	if errors.Is(err, deployments.ErrNotFound) {
		return m, nil
	} else if err != nil {
		return m, err
	}
	owned, err := n.server.store.Owned(ctx)
	for _, d := range owned {
		if d.Environment == e.ID && d.ID > m.d.ID {
			m.d = d
		}
	}
	m.comment, m.button = strings.Contains(n.story.sticky(1), "### Preview: ready"), n.story.deployments() > 0
	for _, c := range n.github.CheckRuns(sample.Repository, n.sha) {
		m.green = m.green || c.Conclusion == "success"
	}
	return m, err
}

func (n *narrator) say(at time.Time, name, text string) {
	n.story.say("  %06.3f  %-9s %s\n", at.Sub(n.start).Seconds(), name, text)
}

// phaseStart returns when a phase began: when those before it had ended.
func phaseStart(p deployments.Phase) func(moment) time.Time {
	return func(m moment) time.Time {
		var before []deployments.Timing
		for _, t := range m.d.Timings {
			if t.Phase == p {
				return m.d.CreatedAt.Add(total(before))
			}
			before = append(before, t)
		}
		if m.d.Phase == p {
			return m.d.CreatedAt.Add(total(before))
		}
		return time.Time{}
	}
}

func total(timings []deployments.Timing) (sum time.Duration) {
	for _, t := range timings {
		sum += t.Took
	}
	return sum
}

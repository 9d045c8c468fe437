package bot

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/go-github/v60/github"

	"vitrine/bot/internal/show"
)

// annotationsAtOnce is how many annotations GitHub takes in one request. It adds them to those that the check run has (docs.github.com, "Update a check run").
const annotationsAtOnce = 50

// bringChecks brings the check runs of the environment's commits to what the view says.
func (b *Bot) bringChecks(ctx context.Context, v show.View, n *notes) error {
	checks := v.Checks()
	said := map[string]bool{}
	for _, c := range checks {
		said[c.SHA] = true
	}
	for _, sha := range slices.Sorted(maps.Keys(n.Checks)) {
		if c, changed := v.Ended(sha, n.Checks[sha].Conclusion); changed && !said[sha] {
			checks = append(checks, c)
		}
	}
	if len(checks) == 0 {
		return nil
	}
	r, err := b.repository(ctx, v.Environment.Origin.Repo)
	if err != nil {
		return err
	}
	if n.Checks == nil {
		n.Checks = map[string]checkNote{}
	}
	for _, c := range checks {
		note, err := r.bringCheck(ctx, c, n.Checks[c.SHA], v.Environment.Origin.Key())
		if note.ID != 0 {
			n.Checks[c.SHA] = note
		}
		if err != nil {
			return err
		}
		if ended := note.Conclusion != "" && note.Conclusion != show.ActionRequired; ended && c.SHA != v.Environment.Source().SHA {
			delete(n.Checks, c.SHA) // nothing more is to be said of it
		}
	}
	return nil
}

// bringCheck brings a commit's check run to what it is to say and returns what it says then, also where an error kept it from saying all. note is what it
// said before, the zero note for nothing; about is the origin's key, by which a button's press finds it. Before one is made it is looked for: GitHub may have
// taken one and its answer been lost. One that has ended does not go on: another one takes its place.
func (r repository) bringCheck(ctx context.Context, c show.Check, note checkNote, about string) (checkNote, error) {
	shown := fingerprint(c)
	if note.ID == 0 {
		var err error
		if note, err = r.findCheck(ctx, c.SHA, about); err != nil {
			return note, err
		}
	}
	if note.Conclusion != "" && c.Conclusion == "" {
		note = checkNote{}
	}
	all := c.Annotations
	for note.Shown != shown {
		begin := min(note.Annotated, len(all))
		c.Annotations = all[begin:min(begin+annotationsAtOnce, len(all))]
		var err error
		if note.ID == 0 {
			note.ID, err = r.createCheck(ctx, c, about)
		} else {
			err = r.updateCheck(ctx, note.ID, c)
		}
		if err != nil {
			note.Shown = ""
			return note, err
		}
		note.Conclusion, note.Annotated = c.Conclusion, note.Annotated+len(c.Annotations)
		if note.Annotated >= len(all) {
			note.Shown = shown
		}
	}
	return note, nil
}

// findCheck returns the check run of ours on a commit, the zero note where there is none.
func (r repository) findCheck(ctx context.Context, sha, about string) (checkNote, error) {
	found, _, err := r.gh.Checks.ListCheckRunsForRef(ctx, r.owner, r.name, sha, &github.ListCheckRunsOptions{
		CheckName: github.String(show.CheckName), AppID: github.Int64(r.bot.config.AppID), ListOptions: github.ListOptions{PerPage: perPage},
	})
	if err != nil {
		return checkNote{}, r.wrap(ctx, err, "list the checks of %s", sha)
	}
	for _, run := range found.CheckRuns {
		if run.GetExternalID() == about {
			return checkNote{ID: run.GetID(), Conclusion: run.GetConclusion(), Annotated: run.GetOutput().GetAnnotationsCount()}, nil
		}
	}
	return checkNote{}, nil
}

func (r repository) createCheck(ctx context.Context, c show.Check, about string) (int64, error) {
	run, _, err := r.gh.Checks.CreateCheckRun(ctx, r.owner, r.name, github.CreateCheckRunOptions{
		Name: show.CheckName, HeadSHA: c.SHA, ExternalID: github.String(about), DetailsURL: optional(c.URL), Status: github.String(c.Status),
		Conclusion: optional(c.Conclusion), StartedAt: moment(c.StartedAt), CompletedAt: moment(c.EndedAt), Output: outputOf(c), Actions: actionsOf(c),
	})
	return run.GetID(), r.wrap(ctx, err, "make the check of %s", c.SHA)
}

func (r repository) updateCheck(ctx context.Context, id int64, c show.Check) error {
	_, _, err := r.gh.Checks.UpdateCheckRun(ctx, r.owner, r.name, id, github.UpdateCheckRunOptions{
		Name: show.CheckName, DetailsURL: optional(c.URL), Status: github.String(c.Status), Conclusion: optional(c.Conclusion),
		CompletedAt: moment(c.EndedAt), Output: outputOf(c), Actions: actionsOf(c),
	})
	return r.wrap(ctx, err, "change check %d", id)
}

func outputOf(c show.Check) *github.CheckRunOutput {
	output := &github.CheckRunOutput{Title: github.String(c.Title), Summary: github.String(c.Summary), Text: optional(c.Text)}
	for _, a := range c.Annotations {
		output.Annotations = append(output.Annotations, &github.CheckRunAnnotation{
			Path: github.String(a.Path), StartLine: github.Int(a.Line), EndLine: github.Int(a.Line), AnnotationLevel: github.String("failure"),
			Title: optional(a.Title), Message: github.String(a.Message),
		})
	}
	return output
}

func actionsOf(c show.Check) []*github.CheckRunAction {
	if !c.Deploy {
		return nil
	}
	return []*github.CheckRunAction{{Label: "Deploy", Description: "Approve this commit and deploy it", Identifier: show.DeployAction}}
}

// optional is nil for the empty text, which GitHub is not told.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// moment is nil for the zero time, for which GitHub takes its own.
func moment(t time.Time) *github.Timestamp {
	if t.IsZero() {
		return nil
	}
	return &github.Timestamp{Time: t}
}

package bot

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/go-github/v60/github"

	"vitrine/bot/internal/show"
)

// githubEnvironment is the one environment that all of GitHub's deployments of previews are in.
const githubEnvironment = "preview"

// bringDeployments brings GitHub's deployments, of which "View deployment" is made, to what the view says. Those of attempts that nothing is said of any more
// are inactive, and go with the environment.
func (b *Bot) bringDeployments(ctx context.Context, v show.View, n *notes) error {
	wanted := v.Deployments()
	if len(wanted) == 0 && len(n.Deployments) == 0 {
		return nil
	}
	r, err := b.repository(ctx, v.Environment.Origin.Repo)
	if err != nil {
		return err
	}
	for _, d := range wanted {
		if err := r.bringDeployment(ctx, v.Environment.Name, d, n); err != nil {
			return err
		}
	}
	for i := range n.Deployments {
		note := &n.Deployments[i]
		if slices.ContainsFunc(wanted, func(d show.Deployment) bool { return d.Number == note.Number }) || note.State == show.Inactive {
			continue
		}
		if err := r.say(ctx, note, show.Deployment{State: show.Inactive}); err != nil && !gone(err) {
			return err
		}
		note.State = show.Inactive
	}
	for v.Removed() && len(n.Deployments) > 0 {
		id := n.Deployments[0].ID
		if _, err := r.gh.Repositories.DeleteDeployment(ctx, r.owner, r.name, id); err != nil && !gone(err) {
			return r.wrap(ctx, err, "delete deployment %d", id)
		}
		n.Deployments = n.Deployments[1:]
	}
	return nil
}

// bringDeployment brings one to what is said of it. Before one is made it is looked for: GitHub may have taken one and its answer been lost.
func (r repository) bringDeployment(ctx context.Context, environment string, d show.Deployment, n *notes) error {
	at := slices.IndexFunc(n.Deployments, func(note deploymentNote) bool { return note.Number == d.Number })
	if at < 0 {
		if !d.Fresh {
			return nil
		}
		id, err := r.deploymentNumbered(ctx, d.SHA, fmt.Sprintf("%s, attempt %d", environment, d.Number))
		if err != nil {
			return err
		}
		at = len(n.Deployments)
		n.Deployments = append(n.Deployments, deploymentNote{Number: d.Number, ID: id})
	}
	note := &n.Deployments[at]
	if note.Shown == fingerprint(d) {
		return nil
	}
	err := r.say(ctx, note, d)
	if gone(err) { // somebody deleted it
		n.Deployments = slices.Delete(n.Deployments, at, at+1)
		return nil
	}
	return err
}

// deploymentNumbered returns the number of GitHub's deployment of a commit with the description, which it makes where there is none. GitHub must neither
// merge the base into the commit nor wait for other checks.
func (r repository) deploymentNumbered(ctx context.Context, sha, description string) (int64, error) {
	found, _, err := r.gh.Repositories.ListDeployments(ctx, r.owner, r.name, &github.DeploymentsListOptions{
		SHA: sha, Environment: githubEnvironment, ListOptions: github.ListOptions{PerPage: perPage},
	})
	if err != nil {
		return 0, r.wrap(ctx, err, "list the deployments of %s", sha)
	}
	for _, d := range found {
		if d.GetDescription() == description {
			return d.GetID(), nil
		}
	}
	made, _, err := r.gh.Repositories.CreateDeployment(ctx, r.owner, r.name, &github.DeploymentRequest{
		Ref: github.String(sha), AutoMerge: github.Bool(false), RequiredContexts: &[]string{}, Environment: github.String(githubEnvironment),
		Description: github.String(description), TransientEnvironment: github.Bool(true), ProductionEnvironment: github.Bool(false),
	})
	return made.GetID(), r.wrap(ctx, err, "make a deployment of %s", sha)
}

// say gives a deployment a status, and notes it.
func (r repository) say(ctx context.Context, note *deploymentNote, d show.Deployment) error {
	_, _, err := r.gh.Repositories.CreateDeploymentStatus(ctx, r.owner, r.name, note.ID, &github.DeploymentStatusRequest{
		State: github.String(d.State), Description: optional(d.Description), EnvironmentURL: optional(d.URL), AutoInactive: github.Bool(false),
	})
	if err == nil {
		note.State, note.Shown = d.State, fingerprint(d)
	}
	return r.wrap(ctx, err, "say how deployment %d is", note.ID)
}

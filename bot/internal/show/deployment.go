package show

import "vitrine/deployments"

// The states of a GitHub deployment beside InProgress, Success and Failure, in GitHub's words.
const (
	Error    = "error"
	Inactive = "inactive"
)

// maxDescription is how many characters GitHub takes for the description of a deployment's status.
const maxDescription = 140

// A Deployment is what GitHub says of one attempt, as its own deployment.
type Deployment struct {
	Number      int64 // the attempt's
	SHA         string
	State       string
	Description string // plain text
	URL         string // of the preview, where it is live
	// Fresh says that GitHub is to be told of it also where it knows nothing of it so far.
	Fresh bool
}

// Deployments returns what GitHub is to say of the environment's attempts. All that it knows of beside them are inactive.
func (v View) Deployments() []Deployment {
	var all []Deployment
	if v.Live != nil {
		started := *v.Live
		started.Condition = deployments.Condition{} // how it fares now is no news of the deployment
		all = append(all, Deployment{
			Number: v.Live.ID, SHA: v.Live.Source.SHA, State: Success, URL: v.Address(v.Environment.Name), Fresh: true,
			Description: headline(started, plainName),
		})
	}
	if d := v.Latest; Built(d) && (v.Live == nil || d.ID != v.Live.ID) && v.Environment.Intent == deployments.Up {
		if shown, ok := attempt(*d); ok {
			all = append(all, shown)
		}
	}
	return all
}

// attempt is what GitHub is to say of an attempt that is not live.
func attempt(d deployments.Deployment) (Deployment, bool) {
	shown := Deployment{Number: d.ID, SHA: d.Source.SHA}
	switch d.Phase {
	case deployments.Building, deployments.Starting:
		shown.State, shown.Fresh = InProgress, true
	case deployments.Failed:
		shown.State, shown.Fresh = Failure, true
		if d.Fault != nil {
			shown.Description = Plain(about(*d.Fault, plainName), maxDescription)
		}
	case deployments.Cancelled: // for a fault of ours; another attempt follows
		shown.State, shown.Description = Error, "Tried again later"
	default:
		return Deployment{}, false
	}
	return shown, true
}

// Removed reports whether nothing is left of the environment, so that none of its deployments stays with GitHub.
func (v View) Removed() bool { return v.state() == removed }

package show

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vitrine/deployments"
)

// CheckName is the name of the one check.
const CheckName = "Preview"

// The statuses of a check, and the conclusions of one that is Completed, in GitHub's words.
const (
	Queued     = "queued"
	InProgress = "in_progress"
	Completed  = "completed"

	Success        = "success"
	Failure        = "failure"
	Neutral        = "neutral"
	ActionRequired = "action_required"
	Cancelled      = "cancelled"
)

// DeployAction is the identifier of the button that does what /deploy does, as GitHub hands it back.
const DeployAction = "deploy"

// A Check is what the check of a commit says.
type Check struct {
	SHA        string
	Status     string
	Conclusion string // of one that is Completed
	Title      string // plain text
	Summary    string // Markdown, as Text is
	Text       string
	URL        string    // of the preview; empty where it is not to be followed
	StartedAt  time.Time // the zero time for now
	EndedAt    time.Time // of one that is Completed; the zero time for now
	// Annotations are what is wrong on lines of the commit's files.
	Annotations []Annotation
	// Deploy offers a button that does what /deploy does.
	Deploy bool
}

// An Annotation is something that is wrong on a line of a file.
type Annotation struct {
	Path    string
	Line    int    // from 1
	Title   string // plain text, as Message is
	Message string
}

// Bounds of annotations. GitHub takes 255 characters for a title and 64 KiB for a message.
const (
	maxAnnotations = 300
	maxMessage     = 2000
	maxLabel       = 140 // characters of a title, of which GitHub shows one line
)

// Checks returns what the checks of the environment's commits say, one for each commit. Those of other commits are ended; see Ended.
func (v View) Checks() []Check {
	e, s := v.Environment, v.state()
	if e.Intent == deployments.Gone && e.Skipped != "" && e.Source().SHA != "" && (v.Known || !v.Undeployable) {
		return []Check{v.skipped()}
	}
	if !v.Known && !v.worthAWord() {
		return nil
	}
	var checks []Check
	switch s {
	case waiting:
		checks = append(checks, v.queued(capital(e.Waiting), v.waitsFor()+v.before()))
	case building:
		checks = append(checks, v.pending())
	case failed:
		checks = append(checks, v.failure(*v.Latest))
	case ready:
		checks = append(checks, v.success(*v.Live))
	}
	if e.Held != "" && e.Intent == deployments.Up && (len(checks) == 0 || checks[0].SHA != e.Held) {
		checks = append(checks, v.actionRequired())
	}
	return checks
}

// Ended returns what becomes of the check of a commit that Checks has nothing on, which has the conclusion given, "" for none yet. It reports whether
// the check is to say something else than it does.
func (v View) Ended(sha, conclusion string) (Check, bool) {
	e, s := v.Environment, v.state()
	current := sha == e.Source().SHA
	open := conclusion == "" || conclusion == ActionRequired
	switch {
	case open && e.Intent == deployments.Gone:
		return v.completed(sha, Cancelled, "Cancelled: "+v.cause(), fmt.Sprintf("The preview is not wanted any more: %s.", Sentence(v.cause()))), true
	case open && !current:
		head := e.Source().ShortSHA()
		return v.completed(sha, Cancelled, "Superseded by "+head, fmt.Sprintf("%s came after it.", Code(head))), true
	case current && s == removed && conclusion == Success:
		return v.completed(sha, Success, "Removed: "+v.cause(), v.tombstone()), true
	default:
		return Check{}, false
	}
}

func (v View) completed(sha, conclusion, title, summary string) Check {
	return Check{SHA: sha, Status: Completed, Conclusion: conclusion, Title: Plain(title, maxLabel), Summary: strings.TrimSpace(summary)}
}

func (v View) queued(title, summary string) Check {
	return Check{SHA: v.Environment.Source().SHA, Status: Queued, Title: Plain(title, maxLabel), Summary: strings.TrimSpace(summary), URL: v.liveURL()}
}

// pending is the check of what is on its way.
func (v View) pending() Check {
	c := v.queued("Queued", v.underway())
	d := v.running()
	if d == nil || d.Phase == deployments.Queued {
		return c
	}
	c.Status, c.Title, c.StartedAt = InProgress, capital(string(d.Phase)), d.CreatedAt
	return c
}

func (v View) success(d deployments.Deployment) Check {
	title, conclusion := headline(d, plainName), Failure
	if len(d.Condition.Trouble()) == 0 {
		title, conclusion = capital(title), Success
		if i := slices.IndexFunc(d.Services, func(s deployments.ServiceState) bool { return sick(d, s) }); i >= 0 {
			title += fmt.Sprintf("; %s is %s", plainName(d.Services[i].Name), answer(d, d.Services[i]))
		}
	}
	c := v.completed(d.Source.SHA, conclusion, title, v.served(d)+"\n"+v.bookmark())
	c.Text = paragraphs(lastLines(d.Services), troubles(d.Condition), timeline(d.Timings))
	c.URL, c.StartedAt, c.EndedAt = v.liveURL(), d.CreatedAt, d.LiveAt
	return c
}

func (v View) failure(d deployments.Deployment) Check {
	f := *d.Fault
	c := v.completed(d.Source.SHA, Failure, capital(about(f, plainName)), v.before()+reason(f))
	if f.Kind == deployments.FaultNothing {
		c.Conclusion = Neutral
	}
	c.Text = excerpt(f)
	c.URL, c.StartedAt, c.EndedAt, c.Annotations = v.liveURL(), d.CreatedAt, d.EndedAt, annotations(f)
	return c
}

func (v View) skipped() Check {
	rule := v.Environment.Skipped
	summary := fmt.Sprintf("Not deployed: %s.", Sentence(rule))
	if v.Environment.Origin.PullRequest != 0 {
		summary += "\n\n`/deploy`, from somebody with write access, deploys it all the same where the rule allows that, and says why where it does not."
	}
	return v.completed(v.Environment.Source().SHA, Neutral, "Skipped: "+rule, summary)
}

func (v View) actionRequired() Check {
	sha := v.Environment.Held
	c := v.completed(sha, ActionRequired, "Waits for a maintainer", fmt.Sprintf(
		"Code from a fork runs after somebody with write access comments `/deploy`, or presses Deploy here. It gets no secrets.\n\n%s waits.",
		Code(deployments.Source{SHA: sha}.ShortSHA())))
	c.Deploy = true
	return c
}

// liveURL is the preview's, "" while nothing is live.
func (v View) liveURL() string {
	if v.Live == nil {
		return ""
	}
	return v.Address(v.Environment.Name)
}

// annotations are a fault's violations on their lines. What has no known line is on the first one.
func annotations(f deployments.Fault) []Annotation {
	var all []Annotation
	for _, violation := range f.Violations {
		a := Annotation{
			Path: Plain(violation.File, maxMessage), Line: max(1, violation.Line),
			Title: Plain(violation.Rule, maxLabel), Message: Plain(violation.Text(), maxMessage),
		}
		if a.Path != "" && a.Message != "" && len(all) < maxAnnotations {
			all = append(all, a)
		}
	}
	return all
}

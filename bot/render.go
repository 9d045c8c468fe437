package bot

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vitrine/deployments"
)

// maxRows is how many services the comment's table shows.
const maxRows = 50

// helpLine ends the comments that have nothing else to offer.
const helpLine = "<sub>`/help`</sub>"

// A view is what the comment shows of an environment.
type view struct {
	deployments.PendingReport
	url func(label string) string // of a preview
	now time.Time
}

// render returns the comment's text, or "" where there is nothing to say. It is pure.
func (v view) render() string {
	e := v.Environment
	pending := e.Generation > e.Observed
	running := v.Latest != nil && v.Latest.Phase.Running() && v.Latest.Generation == e.Generation
	switch {
	case e.Generation == 0:
		return ""
	case e.Intent == deployments.Gone && pending:
		return v.leaving()
	case e.Intent == deployments.Gone:
		return v.tombstone()
	case v.Live != nil && v.Live.Generation == e.Generation:
		return v.ready() // before GitHub has said that this is the head
	case pending && e.Waiting != "":
		return v.waiting()
	case pending:
		return v.building(running)
	case e.Failed && v.Latest != nil && v.Latest.Fault != nil:
		return v.failed(*v.Latest.Fault)
	case v.Live != nil:
		return v.ready()
	default:
		return ""
	}
}

// worthAComment reports whether a first comment is to be written for what render says. A repository with nothing to deploy gets none, unless
// somebody asked: so none is written until the checkout was read.
func (v view) worthAComment() bool {
	e := v.Environment
	switch {
	case e.Intent == deployments.Gone:
		return false
	case e.By == deployments.ByHand || v.Live != nil || e.Waiting != "":
		return true
	case v.Latest == nil:
		return false
	case v.Latest.Fault != nil && v.Latest.Generation == e.Generation:
		return v.Latest.Fault.Kind != deployments.FaultNothing
	default:
		return v.Latest.Phase == deployments.Building || v.Latest.Phase == deployments.Starting || v.Latest.Phase == deployments.Ready
	}
}

func (v view) building(running bool) string {
	var b strings.Builder
	b.WriteString("### Preview: building\n")
	switch {
	case v.Live != nil:
		fmt.Fprintf(&b, "%s serves %s until the new version is ready.\n", v.link(v.Environment.Name), code(v.Live.Source.ShortSHA()))
	case running && (v.Latest.Phase == deployments.Building || v.Latest.Phase == deployments.Starting):
		fmt.Fprintf(&b, "%s already answers and turns into the app by itself.\n", v.link(v.Environment.Name))
	case running && v.Latest.Phase == deployments.Fetching:
		fmt.Fprintf(&b, "Fetches %s.\n", code(v.Latest.Source.ShortSHA()))
	default:
		b.WriteString("Queued.\n")
	}
	if running && len(v.Latest.Services) > 0 {
		b.WriteString("\n| Service | Status | Commit |\n| --- | --- | --- |\n")
		for _, s := range rows(v.Latest.Services) {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", text(s.Name), text(s.Status), code(v.Latest.Source.ShortSHA()))
		}
	}
	return b.String() + "\n" + helpLine
}

func (v view) waiting() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### Preview: waiting\nIt %s, and goes on by itself.\n", sentence(v.Environment.Waiting))
	if v.Live != nil {
		b.WriteString(v.before() + "\n")
	}
	return b.String() + "\n" + helpLine
}

func (v view) leaving() string {
	body := fmt.Sprintf("Preview is being removed: %s.", sentence(v.Environment.Cause))
	if waiting := v.Environment.Waiting; waiting != "" {
		body += fmt.Sprintf(" It %s, and goes on by itself.", sentence(waiting))
	}
	return body
}

func (v view) ready() string {
	d := v.Live
	var b strings.Builder
	b.WriteString("### Preview: " + state(*d) + "\n| Service | Open | Answers | Commit |\n| --- | --- | --- | --- |\n")
	for i, s := range rows(d.Services) {
		open, answer := "", ""
		if s.Host != "" {
			open = v.link(s.Host)
		}
		if i == 0 && open != "" {
			open = "**" + open + "**"
		}
		switch {
		case down(*d, s.Name):
			answer = "nothing"
		case s.Answer >= http.StatusInternalServerError:
			answer = "up, answers " + strconv.Itoa(s.Answer)
		case s.Answer != 0:
			answer = strconv.Itoa(s.Answer)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", text(s.Name), open, answer, code(d.Source.ShortSHA()))
	}
	b.WriteString(lastLines(d.Services) + "\n")
	for _, f := range d.Condition.Trouble() {
		b.WriteString(trouble(f))
	}
	if v.Bookmark != "" {
		fmt.Fprintf(&b, "Bookmark for this branch: [%s](%s).\n", v.Bookmark, v.url(v.Bookmark))
	}
	b.WriteString(timeline(d.Timings))
	b.WriteString("\n<sub>")
	if until := v.Environment.Expires; !until.IsZero() {
		b.WriteString("Until " + v.day(until) + ", longer with each push · ")
	}
	b.WriteString("`/extend 3d` · `/reset` · `/help`</sub>")
	return b.String()
}

// lastLines shows what the services said last that are up and answer an error.
func lastLines(services []deployments.ServiceState) string {
	var b strings.Builder
	for _, s := range services {
		if len(s.Lines) > 0 {
			fmt.Fprintf(&b, "\nThe last lines of %s:\n%s\n", text(s.Name), fence(s.Lines))
		}
	}
	return b.String()
}

// state says in a few words how a live deployment fares.
func state(d deployments.Deployment) string {
	var names []string
	for _, f := range d.Condition.Trouble() {
		if f.Service != "" {
			names = append(names, text(f.Service))
		}
	}
	took := d.LiveAt.Sub(d.CreatedAt)
	switch {
	case len(d.Condition.Crashing) == 1:
		return names[0] + " is crashing"
	case len(d.Condition.Crashing) > 1:
		return strings.Join(names, ", ") + " are crashing"
	case len(names) > 0:
		return names[0] + " does not run any more"
	case d.Condition.Fault != nil:
		return "does not run any more"
	case d.LiveAt.IsZero() || took < 0:
		return "ready"
	}
	return "ready in " + seconds(took)
}

// down reports whether a service has backends and none of them answers.
func down(d deployments.Deployment, service string) bool {
	var urls []string
	for _, b := range d.Backends {
		if b.Service == service {
			urls = append(urls, b.URL)
		}
	}
	return len(urls) > 0 && len(d.Condition.Up(urls)) == 0
}

// trouble is a paragraph on what is wrong with something that is live, with the last lines.
func trouble(f deployments.Fault) string {
	s := sentence(f.Reason) + "\n"
	switch {
	case f.Kind == deployments.FaultRun: // its reason goes on from its name
		s = code(f.Service) + " " + s
	case f.Service != "":
		s = code(f.Service) + ": " + s
	}
	if len(f.Excerpt) > 0 {
		s += fence(f.Excerpt) + "\n"
	}
	return s + "\n"
}

// timeline is the folded line with how long each phase took.
func timeline(timings []deployments.Timing) string {
	words := map[deployments.Phase]string{
		deployments.Queued: "wait", deployments.Fetching: "fetch", deployments.Building: "build", deployments.Starting: "start",
	}
	var total time.Duration
	var parts []string
	for _, t := range timings {
		if words[t.Phase] == "" {
			continue
		}
		total += t.Took
		parts = append(parts, fmt.Sprintf("%s %.3f s", words[t.Phase], t.Took.Seconds()))
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("<details><summary>Timeline · %.1f s</summary>%s</details>\n", total.Seconds(), strings.Join(parts, " · "))
}

func (v view) failed(f deployments.Fault) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### Preview: %s\n", title(f))
	if v.Live != nil {
		b.WriteString(v.before() + "\n\n")
	}
	if f.Where != "" {
		b.WriteString(code(f.Where) + " ")
	}
	b.WriteString(sentence(f.Reason) + "\n")
	if len(f.Excerpt) > 0 {
		b.WriteString(fence(f.Excerpt) + "\n")
	}
	return b.String() + "\n<sub>Push a fix, or `/deploy` to try again</sub>"
}

// title says in a few words what a fault is about.
func title(f deployments.Fault) string {
	verb := map[deployments.FaultKind]string{
		deployments.FaultConfig: "reading the configuration",
		deployments.FaultFetch:  "fetching the commit",
		deployments.FaultBuild:  "building",
		deployments.FaultStart:  "starting",
	}[f.Kind]
	switch {
	case f.Kind == deployments.FaultNothing:
		return "nothing to deploy"
	case verb == "":
		return "failed"
	case f.Service != "" && (f.Kind == deployments.FaultBuild || f.Kind == deployments.FaultStart):
		return "failed while " + verb + " " + text(f.Service)
	default:
		return "failed while " + verb
	}
}

// before says that the version before is still there.
func (v view) before() string {
	return fmt.Sprintf("[The version before](%s), %s, is still served.", v.url(v.Environment.Name), code(v.Live.Source.ShortSHA()))
}

func (v view) tombstone() string {
	e := v.Environment
	s := fmt.Sprintf("Preview removed: %s, %s", sentence(e.Cause), v.day(v.now))
	if sha := e.Source().ShortSHA(); sha != "" {
		s += fmt.Sprintf(" (last %s)", code(sha))
	}
	s += "."
	switch {
	case e.By != deployments.ByEvent:
		s += " `/deploy` brings it back at the same URL with fresh data."
	case e.Cause == causeClosed:
		s += " Reopening it brings back the same URL with fresh data."
	}
	return s
}

// rows are as many services as the table shows.
func rows(services []deployments.ServiceState) []deployments.ServiceState {
	return services[:min(len(services), maxRows)]
}

// day writes a date in UTC, with the year where it is another one.
func (v view) day(t time.Time) string {
	t = t.UTC()
	if t.Year() != v.now.UTC().Year() {
		return t.Format("2 Jan 2006")
	}
	return t.Format("2 Jan")
}

// seconds writes how long something took: "0.8 s", "41 s", "2 min 5 s".
func seconds(d time.Duration) string {
	switch {
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	default:
		d = d.Round(time.Second)
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
}

// link is a Markdown link to the preview at a host's label, named by its host.
func (v view) link(label string) string { return hostLink(v.url, label) }

func hostLink(urlOf func(label string) string, label string) string {
	address := urlOf(label)
	name := label
	if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
		name = u.Hostname()
	}
	return fmt.Sprintf("[%s](%s)", name, address)
}

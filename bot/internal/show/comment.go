package show

import (
	"fmt"
	"strings"

	"vitrine/deployments"
)

// helpLine ends the comments that have nothing else to offer.
const helpLine = "<sub>`/help`</sub>"

// Comment returns the text of the pull request's one comment, or "" where there is nothing to say: one that is there stays as it is.
func (v View) Comment() string {
	switch v.state() {
	case removing:
		return v.leaving()
	case removed:
		return v.tombstone()
	case waiting:
		return v.waits()
	case building:
		return v.progresses()
	case held:
		return v.holds()
	case failed:
		return v.fails(*v.Latest.Fault)
	case ready:
		return v.serves()
	default:
		return ""
	}
}

// WorthAComment reports whether a first comment is to be written for what Comment says. What is skipped has none.
func (v View) WorthAComment() bool {
	if v.Environment.Intent == deployments.Gone {
		return false
	}
	f := v.fault()
	return v.worthAWord() || v.Known && (f == nil || f.Kind != deployments.FaultNothing)
}

// fault returns what has failed of what is wanted now, nil for nothing.
func (v View) fault() *deployments.Fault {
	if v.Latest == nil || v.Latest.Generation != v.Environment.Generation {
		return nil
	}
	return v.Latest.Fault
}

func (v View) progresses() string {
	head := "### Preview: building\n" + v.underway() + "\n"
	if d := v.running(); d != nil && len(d.Services) > 0 {
		return paragraphs(head, v.progress(*d), helpLine)
	}
	return paragraphs(head, helpLine)
}

// underway is a sentence on how far what is wanted is.
func (v View) underway() string {
	d := v.running()
	switch {
	case v.Live != nil:
		return fmt.Sprintf("%s serves %s until the new version is ready.", v.link(v.Environment.Name), Code(v.Live.Source.ShortSHA()))
	case d != nil && (d.Phase == deployments.Building || d.Phase == deployments.Starting):
		return v.link(v.Environment.Name) + " already answers and turns into the app by itself."
	case d != nil && d.Phase == deployments.Fetching:
		return fmt.Sprintf("Fetches %s.", Code(d.Source.ShortSHA()))
	default:
		return "Queued."
	}
}

func (v View) waits() string {
	return paragraphs("### Preview: waiting\n"+v.waitsFor()+v.before(), helpLine)
}

// waitsFor is a sentence on who is waited for.
func (v View) waitsFor() string {
	return fmt.Sprintf("It %s, and goes on by itself.\n", Sentence(v.Environment.Waiting))
}

func (v View) holds() string {
	head := "### Preview: waits for a maintainer\nCode from a fork runs after somebody with write access comments `/deploy`. It gets no secrets."
	sha := Code(deployments.Source{SHA: v.Environment.Held}.ShortSHA())
	if v.Live == nil {
		return paragraphs(head, sha+" waits.")
	}
	waits := fmt.Sprintf("%s waits. Until then %s, which was approved before, is served.", sha, Code(v.Live.Source.ShortSHA()))
	return paragraphs(head, waits, v.served(*v.Live), v.footer("`/extend 3d`", "`/help`"))
}

func (v View) leaving() string {
	body := fmt.Sprintf("Preview is being removed: %s.", Sentence(v.cause()))
	if v.Environment.Waiting != "" {
		body += " " + strings.TrimSpace(v.waitsFor())
	}
	return body
}

func (v View) serves() string {
	title, warning := headline(*v.Live, serviceName), ""
	if v.expiresSoon() {
		when := "today"
		if v.Now.UTC().YearDay() != v.Environment.Expires.UTC().YearDay() {
			when = "tomorrow"
		}
		title += ", expires " + when
		warning = fmt.Sprintf("Removed with its data on %s UTC.", v.Environment.Expires.UTC().Format("2 Jan, 15:04"))
	}
	return paragraphs("### Preview: "+title+"\n"+v.served(*v.Live), lastLines(v.Live.Services), troubles(v.Live.Condition),
		v.bookmark()+timeline(v.Live.Timings), warning, v.footer("`/extend 3d`", "`/reset`", "`/help`"))
}

func (v View) bookmark() string {
	if v.Bookmark == "" {
		return ""
	}
	return fmt.Sprintf("Bookmark for this branch: [%s](%s).\n", v.Bookmark, v.Address(v.Bookmark))
}

// footer says how long what is served stays, and what can be commanded: first of all what makes it stay longer.
func (v View) footer(extend string, others ...string) string {
	e := v.Environment
	switch {
	case e.Pinned:
		others = append([]string{"Pinned: stays until `/unpin`"}, others...)
	case v.expiresSoon():
		others = append([]string{"A push or `/extend` keeps it"}, others...)
	case !e.Expires.IsZero():
		others = append([]string{"Until " + v.day(e.Expires) + ", longer with each push", extend}, others...)
	default:
		others = append([]string{extend}, others...)
	}
	return "<sub>" + strings.Join(others, " · ") + "</sub>"
}

func (v View) fails(f deployments.Fault) string {
	return paragraphs("### Preview: "+about(f, serviceName)+"\n"+v.before()+reason(f)+excerpt(f), "<sub>Push a fix, or `/deploy` to try again</sub>")
}

// reason is what a fault is about.
func reason(f deployments.Fault) string {
	if f.Where == "" {
		return Sentence(f.Reason) + "\n"
	}
	return Code(f.Where) + " " + Sentence(f.Reason) + "\n"
}

// excerpt is the end of what the build or the service printed.
func excerpt(f deployments.Fault) string {
	if len(f.Excerpt) == 0 {
		return ""
	}
	return Fence(f.Excerpt, manyLines) + "\n"
}

// before says that the version before is still there, in a paragraph of its own; "" where there is none.
func (v View) before() string {
	if v.Live == nil {
		return ""
	}
	return fmt.Sprintf("[The version before](%s), %s, is still served.\n\n", v.Address(v.Environment.Name), Code(v.Live.Source.ShortSHA()))
}

// tombstone is the line that stays.
func (v View) tombstone() string {
	e := v.Environment
	s := fmt.Sprintf("Preview removed: %s, %s", Sentence(v.cause()), v.day(v.Now))
	if sha := e.Source().ShortSHA(); sha != "" && e.Skipped == "" {
		s += fmt.Sprintf(" (last %s)", Code(sha))
	}
	s += "."
	switch {
	case e.By != deployments.ByEvent:
		s += " `/deploy` brings it back at the same URL with fresh data."
	case v.Reopens:
		s += " Reopening it brings back the same URL with fresh data."
	}
	return s
}

// paragraphs puts a blank line between those that are not empty.
func paragraphs(parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p = strings.TrimRight(p, "\n"); p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, "\n\n")
}

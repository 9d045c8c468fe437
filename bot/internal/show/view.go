// Package show decides what people are shown of an environment on GitHub: the comment under its pull request, the check of its commit, its GitHub
// deployments. It is pure, it asks nobody and writes nowhere. What strangers wrote can neither break the Markdown around it nor mention, reference or link
// anything.
package show

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"vitrine/deployments"
)

// A View is an environment as it is to be shown.
type View struct {
	deployments.PendingReport
	// Address makes a preview's URL of a host's label ("shop-pr-42").
	Address func(label string) string
	Now     time.Time
	// Known says that people were shown something of it before.
	Known bool
	// Reopens says that the pull request was closed, so that reopening it brings the preview back.
	Reopens bool
	// Undeployable says that the rule it is skipped for is that there is nothing to deploy.
	Undeployable bool
}

// A state is what there is to say of an environment.
type state int

const (
	nothing   state = iota // nothing is wanted, or it was settled without anything to show
	removing               // it is being taken down
	removed                // nothing is left of it
	undecided              // a fork's commit that nobody has approved, before the forge was asked whether it is the head
	waiting                // for a neighbour
	building               // on its way, from the queue on
	held                   // a fork's commit waits for approval; what is live is served
	failed                 // by the user's doing; what is live is served
	ready
)

func (v View) state() state {
	e := v.Environment
	pending := e.Generation > e.Observed
	switch {
	case e.Generation == 0:
		return nothing
	case e.Intent == deployments.Gone && pending:
		return removing
	case e.Intent == deployments.Gone:
		return removed
	case v.Live != nil && v.Live.Generation == e.Generation && e.Held == "":
		return ready // before the forge has said that this is the head
	case pending && !e.Force && e.Source().Fork && e.Source().SHA != e.Approved:
		return undecided
	case pending && e.Waiting != "":
		return waiting
	case pending:
		return building
	case e.Failed && v.Latest != nil && v.Latest.Fault != nil:
		return failed
	case e.Held != "":
		return held
	case v.Live != nil:
		return ready
	default:
		return nothing
	}
}

// running returns the attempt that works on what is wanted now, nil for none.
func (v View) running() *deployments.Deployment {
	if v.Latest != nil && v.Latest.Phase.Running() && v.Latest.Generation == v.Environment.Generation {
		return v.Latest
	}
	return nil
}

// Built reports whether an attempt got as far as building, so that people may have been shown something of it.
func Built(d *deployments.Deployment) bool {
	if d == nil {
		return false
	}
	for _, t := range d.Timings {
		if t.Phase == deployments.Building {
			return true
		}
	}
	return len(d.Services) > 0 || !d.LiveAt.IsZero() || d.Phase == deployments.Building || d.Phase == deployments.Starting
}

// worthAWord reports whether people are told of an environment that they have heard nothing of so far. A repository with nothing to deploy stays quiet
// unless somebody asked, so there is nothing to tell until the checkout was read.
func (v View) worthAWord() bool {
	e := v.Environment
	switch {
	case e.By == deployments.ByHand || v.Live != nil || e.Held != "":
		return true
	case v.Latest != nil && v.Latest.Fault != nil && v.Latest.Generation == e.Generation:
		return v.Latest.Fault.Kind != deployments.FaultNothing
	default:
		return Built(v.Latest)
	}
}

// headline says in a few words how a live deployment fares; name writes a service's name.
func headline(d deployments.Deployment, name func(string) string) string {
	var names []string
	for _, f := range d.Condition.Trouble() {
		if f.Service != "" && len(names) < maxTold {
			names = append(names, name(f.Service))
		}
	}
	took := d.LiveAt.Sub(d.CreatedAt)
	switch {
	case len(names) > 0 && len(d.Condition.Crashing) > 0:
		return strings.Join(names, ", ") + " " + map[bool]string{true: "is", false: "are"}[len(names) == 1] + " crashing"
	case len(names) > 0:
		return names[0] + " does not run any more"
	case len(d.Condition.Trouble()) > 0:
		return "does not run any more"
	case d.LiveAt.IsZero() || took < 0:
		return "ready"
	}
	return "ready in " + seconds(took)
}

// about says in a few words what a fault is about; name writes a service's name.
func about(f deployments.Fault, name func(string) string) string {
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
		return "failed while " + verb + " " + name(f.Service)
	default:
		return "failed while " + verb
	}
}

// serviceName writes a service's name within Markdown, plainName elsewhere.
func serviceName(s string) string { return Text(Plain(s, maxName)) }
func plainName(s string) string   { return Plain(s, maxName) }

// answer says what a service of a live deployment answers.
func answer(d deployments.Deployment, s deployments.ServiceState) string {
	switch {
	case down(d, s.Name):
		return "nothing"
	case sick(d, s):
		return "up, answers " + strconv.Itoa(s.Answer)
	case s.Answer != 0:
		return strconv.Itoa(s.Answer)
	}
	return ""
}

// sick reports whether a service is up and answers an error.
func sick(d deployments.Deployment, s deployments.ServiceState) bool {
	return s.Answer >= http.StatusInternalServerError && !down(d, s.Name)
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

// cause says why the environment is taken down.
func (v View) cause() string {
	if skipped := v.Environment.Skipped; skipped != "" {
		return skipped
	}
	return v.Environment.Cause
}

// expiresSoon reports whether an environment that has been served for a while has a day left at most.
func (v View) expiresSoon() bool {
	e := v.Environment
	warned := e.Expires.Add(-deployments.WarningTime)
	return !e.Expires.IsZero() && !e.Pinned && v.Live != nil && v.Live.LiveAt.Before(warned) && !v.Now.Before(warned) && v.Now.Before(e.Expires)
}

// day writes a date in UTC, with the year where it is another one.
func (v View) day(t time.Time) string {
	t = t.UTC()
	if t.Year() != v.Now.UTC().Year() {
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

// capital writes s with a capital first letter.
func capital(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[size:]
}

func (v View) link(label string) string { return HostLink(v.Address, label) }

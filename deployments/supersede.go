package deployments

import "time"

// Apply returns the environment as it is after the want, and whether its generation grew. It is pure; a Store calls it inside the transaction that
// reads and writes the environment. A new environment is the zero Environment with its Origin and Name.
//
// A want raises the generation where it changes the intent or the commit, or is forced. What a person or the expiry took down comes back for a
// new commit, a forced want, or one by hand; an event about the same commit does not bring it back.
func Apply(e Environment, w Want, l Lifetime, now time.Time) (Environment, bool) {
	if w.Skip != "" {
		return e, false
	}
	if w.Title != "" {
		e.Title = w.Title
	}
	raise := w.Intent != Keep && (w.Force || changes(e, w))
	if raise {
		// What a command has forced and nothing has settled yet stays forced when a push comes on top of it.
		unsettled := e.Generation > e.Observed && w.Intent == Up
		e.Force = w.Force || e.Force && unsettled
		e.Reset = w.Reset || e.Reset && unsettled
		e.Generation++
		e.Intent, e.By, e.Cause = w.Intent, w.By, w.Cause
		e.Failures, e.NotBefore, e.Waiting = 0, time.Time{}, ""
		if w.Source.SHA != "" {
			e.Sources = []Source{w.Source}
		}
	}
	e.Expires = l.expiryAfter(e, w, now)
	return e, raise
}

func changes(e Environment, w Want) bool {
	newCommit := w.Source.SHA != "" && w.Source.SHA != e.Source().SHA
	switch {
	case w.Intent == Gone:
		return e.Generation > 0 && e.Intent != Gone
	case e.Intent == Up:
		return newCommit
	case e.Generation > 0 && e.By != ByEvent && w.By == ByEvent:
		return newCommit
	default:
		return true
	}
}

// Resolve holds what an environment wants against what its forge says now, and returns what is to be done: the forge wins, but for what a person
// or the expiry took down.
func (e Environment) Resolve(h Head) (intent Intent, source Source, cause string) {
	switch {
	case e.Origin.Repo == "":
		return e.Intent, e.Source(), e.Cause
	case e.Intent == Gone && e.By != ByEvent:
		return Gone, e.Source(), e.Cause
	case !h.Open && e.Intent == Gone:
		return Gone, e.Source(), e.Cause
	case !h.Open:
		return Gone, e.Source(), "no longer open"
	case h.Skip != "":
		return Gone, h.Source, "skipped: " + h.Skip
	case e.Intent == Gone:
		return Up, h.Source, "open again"
	default:
		return Up, h.Source, e.Cause
	}
}

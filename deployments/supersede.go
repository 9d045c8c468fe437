package deployments

import "time"

// Apply returns the environment as it is after the want, and whether its generation grew. It is pure; a Store calls it inside the transaction that
// reads and writes the environment. A new environment is the zero Environment with its Origin and Name.
//
// A want raises the generation where it changes the intent or the commit, or is forced. What a person or the expiry took down comes back for a
// new commit, a forced want, or one by hand; an event about the same commit does not bring it back.
func Apply(e Environment, w Want, l Lifetime, now time.Time) (Environment, bool) {
	if w.Title != "" {
		e.Title = w.Title
	}
	e = e.see(w.Source.SHA, later(w.SeenAt, now))
	if w.Pin != nil {
		e.Pinned = *w.Pin
	}
	raise := w.Intent != Keep && (w.Force || changes(e, w))
	if raise {
		// What a command has forced and nothing has settled yet stays forced when a push comes on top of it.
		unsettled := e.Generation > e.Observed && w.Intent == Up
		e.Force = w.Force || e.Force && unsettled
		e.Reset = w.Reset || e.Reset && unsettled
		e.Fresh = w.Fresh || e.Fresh && unsettled
		e.Skipped = w.Skip
		if w.Approve != "" {
			e.Approved, e.Held = w.Approve, ""
		}
		if w.Intent == Gone {
			e.Held, e.Pinned = "", false
		}
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

// see returns the environment after its head was heard of. One that is the head already was so before.
func (e Environment) see(sha string, at time.Time) Environment {
	if sha != "" && sha != e.Seen {
		e.Seen, e.SeenAt = sha, at
	}
	return e
}

// Adopted returns the environment after its forge said at a time that this is the head. The commit that was approved may be deployed again while there is
// another head.
func (e Environment) Adopted(head Source, at time.Time) Environment {
	if head.Fork && head.SHA == e.Approved {
		return e
	}
	return e.see(head.SHA, at)
}

func changes(e Environment, w Want) bool {
	newCommit := w.Source.SHA != "" && w.Source.SHA != e.Source().SHA
	switch {
	case w.Skip != "":
		return e.Intent != Gone || e.Generation == 0 || newCommit && e.By == ByEvent || e.Skipped != "" && e.Skipped != w.Skip
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
// or the expiry took down, and for rules of the repository that a person has overruled.
func (e Environment) Resolve(h Head) (intent Intent, source Source, cause string) {
	switch {
	case e.Origin.Repo == "":
		return e.Intent, e.Source(), e.Cause
	case e.Intent == Gone && e.By != ByEvent:
		return Gone, e.Source(), e.Cause
	case !h.Open && e.Intent == Gone:
		return Gone, e.Source(), e.Cause
	case !h.Open && h.Cause != "":
		return Gone, e.Source(), h.Cause
	case !h.Open:
		return Gone, e.Source(), "no longer open"
	case h.Skip != "" && (h.Binding || e.By != ByHand):
		return Gone, h.Source, "skipped: " + h.Skip
	case e.Intent == Gone:
		return Up, h.Source, "open again"
	default:
		return Up, h.Source, e.Cause
	}
}

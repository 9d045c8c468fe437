package bot

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"
)

const (
	// deliveriesKept is how long GitHub knows a delivery (docs.github.com, "Viewing webhook deliveries").
	deliveriesKept = 3 * 24 * time.Hour
	// deliveryTime is how long before the last attempt seen others may have begun that were not listed yet.
	deliveryTime = 2 * time.Minute
	// mostTries is how often a delivery is asked for again, in six hours all in all. What we answer with an error each time will not get better.
	mostTries = 6
	// firstTryPause lies between the first and the second time, and grows by triesGrow each time.
	firstTryPause = 3 * time.Minute
	triesGrow     = 3
)

// missed is what is known of the deliveries that never arrived. It decides what is asked for again, and asks for nothing itself. All of it can be learned
// anew from GitHub's list, which a new process does. Whoever uses it holds passing.
type missed struct {
	passing sync.Mutex

	seen   time.Time               // the newest attempt that was listed
	events map[string]*undelivered // by GUID
}

// An undelivered event is one of which no attempt arrived.
type undelivered struct {
	guid, event string
	attempt     int64     // the newest one's number
	first, last time.Time // of the attempts, those asked for included
	redelivered map[int64]bool
	asked       int
	lost        bool // GitHub does not have it any more
}

// since returns from which time on the attempts have to be listed.
func (m *missed) since(now time.Time) time.Time {
	kept := now.Add(-deliveriesKept)
	if since := m.seen.Add(-deliveryTime); since.After(kept) {
		return since
	}
	return kept
}

// learn takes in all attempts since the time that since names, newest first. Some may have been listed before.
func (m *missed) learn(listed []*github.HookDelivery, now time.Time) {
	arrived := map[string]bool{}
	for _, d := range listed {
		if at := d.GetDeliveredAt().Time; at.After(m.seen) {
			m.seen = at
		}
		if wasTaken(d) {
			arrived[d.GetGUID()] = true
		}
	}
	if m.events == nil {
		m.events = map[string]*undelivered{}
	}
	for _, d := range slices.Backward(listed) {
		if !arrived[d.GetGUID()] {
			m.fail(d)
		}
	}
	maps.DeleteFunc(m.events, func(guid string, u *undelivered) bool {
		return arrived[guid] || u.first.Before(now.Add(-deliveriesKept))
	})
}

// fail takes in an attempt that failed, after those before it. One that was asked for again without its event being known says nothing: an earlier pass
// saw the event arrive.
func (m *missed) fail(d *github.HookDelivery) {
	at := d.GetDeliveredAt().Time
	u := m.events[d.GetGUID()]
	if u == nil && d.GetRedelivery() {
		return
	}
	if u == nil {
		u = &undelivered{guid: d.GetGUID(), event: d.GetEvent(), first: at, redelivered: map[int64]bool{}}
		m.events[u.guid] = u
	}
	u.attempt = max(u.attempt, d.GetID())
	if at.After(u.last) {
		u.last = at
	}
	if d.GetRedelivery() {
		u.redelivered[d.GetID()] = true
	}
}

// due returns what is to be asked for again now, the oldest event first, at most limit.
func (m *missed) due(now time.Time, limit int) []*undelivered {
	var due []*undelivered
	for _, u := range m.events {
		if u.isDue(now) {
			due = append(due, u)
		}
	}
	slices.SortFunc(due, func(a, b *undelivered) int {
		return cmp.Or(a.first.Compare(b.first), cmp.Compare(a.attempt, b.attempt))
	})
	return due[:min(limit, len(due))]
}

func (u *undelivered) isDue(now time.Time) bool {
	tries := u.tries()
	if u.lost || tries >= mostTries {
		return false
	}
	if tries == 0 {
		return true
	}
	pause := firstTryPause
	for range tries - 1 {
		pause *= triesGrow
	}
	return !now.Before(u.last.Add(pause))
}

// tries returns how often it was asked for again, by whomever. What we asked for is listed a little later.
func (u *undelivered) tries() int { return max(u.asked, len(u.redelivered)) }

// ask records that it was asked for again.
func (u *undelivered) ask(now time.Time) {
	u.asked = u.tries() + 1
	if now.After(u.last) {
		u.last = now
	}
}

// giveUp has it never asked for again.
func (u *undelivered) giveUp() { u.lost = true }

package deployments

import (
	"fmt"
	"slices"
	"time"
)

const (
	// settling is how long is waited for what follows on an incident before it is told: the engine starts again what died, and says a moment before or
	// after an end that it was for want of memory.
	settling = lull
	// starting is how long is waited to be able to say that what died was started again.
	starting = 15 * time.Second
	// crashes are as many restarts as make a service crash, within crashWindow.
	crashes     = 5
	crashWindow = 10 * time.Minute
	// steady is how long a service that crashed has to run to be called running again.
	steady = 2 * time.Minute
	// repeatPause lies between two lines of the history that say the same of one service.
	repeatPause = time.Hour
)

// vitals are what is known of one service of what is live: what was heard of it lately, and what was said of that. They do nothing; see hear and due.
type vitals struct {
	service  string
	restarts []time.Time // the last ones within crashWindow, oldest first
	last     *Incident   // how it died last, nil for never
	oom      *Incident   // the last that nothing was said of
	died     bool        // and nothing was said of that
	running  bool
	since    time.Time // when it started last

	crashing bool
	said     bool // that it is crashing

	unhealthy     bool
	health        *Incident // the last word on its health, that nothing was said of
	saidUnhealthy bool

	repeats map[string]repeat // by what was said
}

// A repeat is when something was said, and how often it has happened since without being said.
type repeat struct {
	at    time.Time
	count int
}

// A saying is what is to be said of a service.
type saying struct {
	text    string // without the service's name
	crashes bool   // the service is crashing from now on
	steady  bool   // the service is not crashing any more; there is no text
}

func newVitals(service string) *vitals {
	return &vitals{service: service, running: true, repeats: make(map[string]repeat)}
}

// hear takes an incident in.
func (v *vitals) hear(i Incident) {
	switch i.Kind {
	case Died:
		v.last, v.died, v.running = &i, true, false
	case OutOfMemory:
		v.oom = &i
	case Started:
		if !v.running {
			v.restarts = append(v.restarts, i.At)
		}
		v.running, v.since = true, i.At
		v.restarts = slices.DeleteFunc(v.restarts, func(t time.Time) bool { return i.At.Sub(t) >= crashWindow })
		if len(v.restarts) >= crashes {
			v.crashing = true
			v.restarts = v.restarts[len(v.restarts)-crashes:]
		}
	case Unhealthy, Healthy:
		v.unhealthy, v.health = i.Kind == Unhealthy, &i
	case stillCrashing:
		v.crashing, v.said, v.since = true, true, i.At
	}
}

// due returns what is to be said at the time now, and when to ask again, the zero time for not before the next incident.
func (v *vitals) due(now time.Time) (sayings []saying, next time.Time) {
	if v.crashing {
		return v.crash(now)
	}
	for _, part := range []func(time.Time) (string, time.Time){v.death, v.shortage, v.fitness} {
		text, at := part(now)
		if text != "" {
			sayings = append(sayings, saying{text: text})
		}
		next = soonest(next, at)
	}
	return sayings, next
}

// crash is due while the service is crashing: nothing is said of each end. What it returns is to be said until told is called.
func (v *vitals) crash(now time.Time) (sayings []saying, next time.Time) {
	v.died, v.oom = false, v.shortOfMemory()
	if !v.said {
		why := ""
		if v.last != nil {
			why = "; the last time it " + v.last.ended(v.oom)
		}
		return []saying{{text: fmt.Sprintf("is crashing: restarted %d times within %d minutes%s", crashes, crashWindow/time.Minute, why), crashes: true}}, next
	}
	if !v.running {
		return nil, next
	}
	if at := v.since.Add(steady); now.Before(at) {
		return nil, at
	}
	return []saying{{steady: true}}, next
}

// told takes down that somebody is telling what crash returned.
func (v *vitals) told(s saying) {
	v.said = s.crashes
	if s.steady {
		v.crashing, v.restarts, v.oom, v.health = false, nil, nil, nil
		clear(v.repeats)
	}
}

// idle reports whether there is nothing to know of the service.
func (v *vitals) idle(now time.Time) bool {
	recent := func(t time.Time) bool { return now.Sub(t) < crashWindow }
	for _, r := range v.repeats {
		if now.Sub(r.at) < repeatPause {
			return false
		}
	}
	return v.running && !v.crashing && !v.died && v.oom == nil && v.health == nil && !v.unhealthy && !slices.ContainsFunc(v.restarts, recent)
}

// shortOfMemory returns the want of memory that the service died of, nil where it did not.
func (v *vitals) shortOfMemory() *Incident {
	if v.oom == nil || v.last == nil || v.oom.At.Sub(v.last.At).Abs() > settling {
		return nil
	}
	return v.oom
}

// death is due once an end has settled.
func (v *vitals) death(now time.Time) (text string, next time.Time) {
	if !v.died {
		return "", next
	}
	patience := starting
	if v.running {
		patience = settling
	}
	if at := v.last.At.Add(patience); now.Before(at) {
		return "", at
	}
	oom := v.shortOfMemory()
	text = v.last.ended(oom)
	if oom != nil {
		v.oom = nil
	}
	if v.running {
		text += "; restarted"
	}
	v.died = false
	return v.once(text, text, now), next
}

// shortage is due once it is clear that the service did not die of the want of memory that one of its processes was killed for.
func (v *vitals) shortage(now time.Time) (text string, next time.Time) {
	if v.oom == nil || v.died && v.shortOfMemory() != nil {
		return "", next // nothing, or for death to say
	}
	if at := v.oom.At.Add(settling); now.Before(at) {
		return "", at
	}
	text = "ran out of memory" + v.oom.limit() + ": one of its processes was killed"
	v.oom = nil
	return v.once(text, text, now), next
}

// fitness is due once the word on the service's health has settled.
func (v *vitals) fitness(now time.Time) (text string, next time.Time) {
	if v.health == nil {
		return "", next
	}
	if at := v.health.At.Add(settling); now.Before(at) {
		return "", at
	}
	detail := v.health.Detail
	v.health = nil
	switch {
	case v.unhealthy && !v.saidUnhealthy:
		text = "is unhealthy"
		if detail != "" {
			text += ": " + detail
		}
		text = v.once("is unhealthy", text, now)
		v.saidUnhealthy = text != ""
	case !v.unhealthy && v.saidUnhealthy:
		v.saidUnhealthy = false
		text = "is healthy again"
	}
	return text, next
}

// once returns the text, with how often it could have been said where it was kept back for a time, or nothing where the same was said lately.
func (v *vitals) once(key, text string, now time.Time) string {
	r, before := v.repeats[key]
	r.count++
	if before && now.Sub(r.at) < repeatPause {
		v.repeats[key] = r
		return ""
	}
	if before && r.count > 1 {
		text += fmt.Sprintf(" (%d times within %s)", r.count, now.Sub(r.at).Round(time.Minute))
	}
	v.repeats[key] = repeat{at: now}
	return text
}

// forget drops what was heard and is not said: the engine was lost meanwhile, and may have ended by itself what ended.
func (v *vitals) forget() {
	v.died, v.oom, v.health, v.running = false, nil, nil, true
	if !v.said {
		v.crashing, v.restarts = false, nil
	}
}

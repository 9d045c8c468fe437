package deployments

import (
	"slices"
	"strings"
)

// A Condition is how a live deployment fares. The zero value is a good one.
type Condition struct {
	// Crashing are services that the engine starts again and again, by name: how they end, and what they printed last.
	Crashing []Fault `json:"crashing,omitempty"`
	// Fault is what does not come up again, nil for nothing. It may be of a service that is crashing as well.
	Fault *Fault `json:"fault,omitempty"`
	// Down are the URLs of backends that do not answer. Hosts lead to the others, or to the lobby where there are none.
	Down []string `json:"down,omitempty"`
}

// Trouble returns what is wrong, for people: each Fault of a service that is crashing, else what does not come up again; none where everything runs.
func (c Condition) Trouble() []Fault {
	if len(c.Crashing) == 0 && c.Fault != nil {
		return []Fault{*c.Fault}
	}
	return c.Crashing
}

// Up returns those of the URLs that answer.
func (c Condition) Up(urls []string) []string {
	var up []string
	for _, u := range urls {
		if !slices.Contains(c.Down, u) {
			up = append(up, u)
		}
	}
	return up
}

// crashes notes that a service is crashing as the Fault says, in place of what was known of it.
func (c *Condition) crashes(f Fault) {
	c.recovers(f.Service)
	at, _ := slices.BinarySearchFunc(c.Crashing, f.Service, func(f Fault, service string) int { return strings.Compare(f.Service, service) })
	c.Crashing = slices.Insert(c.Crashing, at, f)
}

// recovers notes that a service is not crashing any more.
func (c *Condition) recovers(service string) {
	c.Crashing = slices.DeleteFunc(slices.Clone(c.Crashing), func(f Fault) bool { return f.Service == service })
}

// sayings returns the lines of the history for the way from one condition to another.
func (c Condition) sayings(to Condition) (texts []string) {
	for _, f := range to.Crashing {
		if !slices.ContainsFunc(c.Crashing, func(g Fault) bool { return g.Service == f.Service }) {
			texts = append(texts, f.Service+" "+f.Reason)
		}
	}
	for _, f := range c.Crashing {
		if !slices.ContainsFunc(to.Crashing, func(g Fault) bool { return g.Service == f.Service }) {
			texts = append(texts, f.Service+" runs again")
		}
	}
	before, after := c.quiet(), to.quiet()
	switch {
	case after != "" && after != before:
		texts = append(texts, "does not run any more: "+after)
	case before != "" && to.Fault == nil:
		texts = append(texts, "runs again")
	}
	return texts
}

// quiet returns what does not come up again, where it was not said already that it crashes.
func (c Condition) quiet() string {
	if c.Fault == nil || slices.ContainsFunc(c.Crashing, func(f Fault) bool { return f.Service == c.Fault.Service }) {
		return ""
	}
	return c.Fault.Error()
}

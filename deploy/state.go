package deploy

import "slices"

// keepsState reports whether the service's containers outlive a deployment: because they can write to a volume, or because the stack asks for it. One that
// is to end by itself runs for each deployment anew.
func keepsState(s Service, ends bool) bool {
	return !ends && (s.InPlace || slices.ContainsFunc(s.Mounts, func(m Mount) bool { return !m.ReadOnly }))
}

// succeed decides what becomes of the live plan's containers of the state: which ones stay, which ones are stopped before a new one starts, and which
// ones run until they have drained.
func (in PlanInput) succeed(p *Plan) {
	if in.Live == nil || in.Live.State != p.State {
		return
	}
	live := in.Live.state()
	for i, c := range p.Containers {
		if c.State && slices.ContainsFunc(live, func(l Container) bool { return l.Name == c.Name }) {
			p.Containers[i].Kept = true
		}
	}
	gone := slices.DeleteFunc(live, func(l Container) bool {
		return slices.ContainsFunc(p.Containers, func(c Container) bool { return c.Name == l.Name })
	})
	replaces := func(c, l Container) bool { return c.Service == l.Service || c.shares(l) }
	for _, l := range gone {
		stopped := false
		for i, c := range p.Containers {
			// A job of a service goes before it: it is not to work on what the one before still writes.
			if takesPlace := c.State && !c.Kept || c.Job > 0 && p.starts(c.Service); takesPlace && replaces(c, l) {
				p.Containers[i].Stops = append(p.Containers[i].Stops, l.Name)
				stopped = true
			}
		}
		if !stopped {
			p.Drains = append(p.Drains, l.Name)
		}
	}
}

// state returns the containers of the state.
func (p Plan) state() []Container {
	return slices.DeleteFunc(slices.Clone(p.Containers), func(c Container) bool { return !c.State })
}

// starts reports whether a container of the state starts for the service.
func (p Plan) starts(service string) bool {
	return slices.ContainsFunc(p.Containers, func(c Container) bool { return c.Service == service && c.State && !c.Kept })
}

// shares reports whether there is a volume that both can write to.
func (c Container) shares(other Container) bool {
	return slices.ContainsFunc(c.Mounts, func(m Mount) bool {
		return !m.ReadOnly && slices.ContainsFunc(other.Mounts, func(o Mount) bool { return !o.ReadOnly && o.Volume == m.Volume })
	})
}

package githubsim

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// A label is one of a repository's, which pull requests wear.
type label struct {
	id   int64
	name string
}

// AddLabel puts a label on a pull request; the repository gets it where it has none of that name yet. Only people with write access may.
func (s *Server) AddLabel(fullName string, number int, name, login string) error {
	return s.editPull(fullName, number, login, true, func(p *pull, by *user) error {
		if strings.TrimSpace(name) == "" {
			return errors.New("a label needs a name")
		}
		if p.label(name) != nil {
			return fmt.Errorf("it has the label %s already", name)
		}
		l := s.labelOf(p.base, name)
		p.labels = append(p.labels, l)
		s.emitPull(p, by, "labeled", object{"label": s.labelObject(p.base, l)})
		return nil
	})
}

// RemoveLabel takes a label off a pull request. Only people with write access may.
func (s *Server) RemoveLabel(fullName string, number int, name, login string) error {
	return s.editPull(fullName, number, login, true, func(p *pull, by *user) error {
		l := p.label(name)
		if l == nil {
			return fmt.Errorf("it has no label %s", name)
		}
		p.labels = slices.DeleteFunc(p.labels, func(other *label) bool { return other == l })
		s.emitPull(p, by, "unlabeled", object{"label": s.labelObject(p.base, l)})
		return nil
	})
}

// labelOf returns a repository's label by its name, in whichever case, and makes it where it is missing. Call it with mu held, as the rest.
func (s *Server) labelOf(r *repository, name string) *label {
	for _, l := range r.labels {
		if strings.EqualFold(l.name, name) {
			return l
		}
	}
	l := &label{id: s.nextID(), name: name}
	r.labels = append(r.labels, l)
	return l
}

func (p *pull) label(name string) *label {
	for _, l := range p.labels {
		if strings.EqualFold(l.name, name) {
			return l
		}
	}
	return nil
}

func (s *Server) labelObject(r *repository, l *label) object {
	return object{
		"id": l.id, "node_id": nodeID("Label", l.id), "url": s.apiURL("repos", r.fullName(), "labels", url.PathEscape(l.name)), "name": l.name,
		"description": nil, "color": "ededed", "default": false,
	}
}

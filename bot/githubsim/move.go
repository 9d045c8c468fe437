package githubsim

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

var errArchived = errors.New("the repository is archived, and only to be read")

// RenameRepository gives a repository another name, in the name of somebody with admin access. The old one leads there until another repository
// takes it.
func (s *Server) RenameRepository(fullName, name, login string) error {
	return s.administer(fullName, login, func(r *repository, by *user) error {
		if !namePattern.MatchString(name) || name == "." || name == ".." || strings.HasSuffix(name, ".git") {
			return fmt.Errorf("%q cannot be its name", name)
		}
		old := r.name()
		if err := s.move(r, place{owner: r.owner(), name: name}); err != nil {
			return err
		}
		s.emit(r, by, "repository", "renamed", object{"changes": object{"repository": object{"name": object{"from": old}}}})
		return nil
	})
}

// TransferRepository gives a repository to another account, in the name of somebody with admin access. GitHub tells only the installation in the
// new account of it (docs.github.com, "Webhook events and payloads", repository).
func (s *Server) TransferRepository(fullName, account, login string) error {
	to, err := s.user(account)
	if err != nil {
		return err
	}
	return s.administer(fullName, login, func(r *repository, by *user) error {
		from := r.owner()
		if to == from || to.kind == "Bot" {
			return fmt.Errorf("it cannot be given to %s", account)
		}
		if err := s.move(r, place{owner: to, name: r.name()}); err != nil {
			return err
		}
		r.roles[strings.ToLower(to.login)] = "admin"
		kind := "user"
		if from.kind == "Organization" {
			kind = "organization"
		}
		s.emit(r, by, "repository", "transferred", object{"changes": object{"owner": object{"from": object{kind: s.userObject(from)}}}})
		return nil
	})
}

// ArchiveRepository makes a repository one that is only to be read, in the name of somebody with admin access.
func (s *Server) ArchiveRepository(fullName, login string) error {
	return s.setArchived(fullName, login, true)
}

// UnarchiveRepository ends what ArchiveRepository began.
func (s *Server) UnarchiveRepository(fullName, login string) error {
	return s.setArchived(fullName, login, false)
}

func (s *Server) setArchived(fullName, login string, archived bool) error {
	return s.administer(fullName, login, func(r *repository, by *user) error {
		if r.archived == archived {
			return errors.New("it is that already")
		}
		r.archived = archived
		action := "unarchived"
		if archived {
			action = "archived"
		}
		s.emit(r, by, "repository", action, object{})
		return nil
	})
}

// administer has something done to a repository, while nobody pushes and with mu held, in the name of somebody with admin access.
func (s *Server) administer(fullName, login string, f func(*repository, *user) error) error {
	r, err := s.repository(fullName)
	if err != nil {
		return err
	}
	by, err := s.user(login)
	if err != nil {
		return err
	}
	r.push.Lock()
	defer r.push.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.role(by.login) != "admin" {
		return fmt.Errorf("%s may not administer %s", login, fullName)
	}
	if err := f(r, by); err != nil {
		return fmt.Errorf("administer %s: %w", fullName, err)
	}
	return nil
}

// move puts a repository at another place and has the old one lead there. Call it with mu held, as find.
func (s *Server) move(r *repository, to place) error {
	old, name := strings.ToLower(r.fullName()), strings.ToLower(to.owner.login+"/"+to.name)
	if other := s.repositories[name]; other != nil && other != r {
		return fmt.Errorf("the repository %s is there already", other.fullName())
	}
	delete(s.repositories, old)
	r.place.Store(&to)
	s.repositories[name] = r
	delete(s.moved, name)
	if old != name {
		s.moved[old] = r
	}
	return nil
}

// find returns the repository of a name, and whether that is one that it had; nil for none.
func (s *Server) find(fullName string) (r *repository, moved bool) {
	name := strings.ToLower(fullName)
	if r := s.repositories[name]; r != nil {
		return r, false
	}
	r = s.moved[name]
	return r, r != nil
}

// redirect leads from the page of a repository that has another name by now to where it is. It reports false where there is none.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request, name string) bool {
	s.mu.Lock()
	repo, moved := s.find(name)
	s.mu.Unlock()
	if !moved {
		return false
	}
	parts := strings.SplitN(strings.TrimPrefix(r.URL.RequestURI(), "/"), "/", 3)
	address := s.webURL(repo.fullName())
	if len(parts) == 3 {
		address += "/" + parts[2]
	}
	http.Redirect(w, r, address, http.StatusMovedPermanently)
	return true
}

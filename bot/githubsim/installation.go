package githubsim

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An installation is the App's in an account. It is guarded by Server.mu, but for its id, account and createdAt, which never change.
type installation struct {
	id          int64
	account     *user
	createdAt   time.Time
	chosen      map[int64]bool // the repositories that it is for; nil: all of the account
	suspendedAt time.Time      // the zero time: it is not suspended
	suspendedBy *user
	quota       quota
}

// holds reports whether an installation is for a repository.
func (i *installation) holds(r *repository) bool {
	return r.owner() == i.account && !r.deleted && (i.chosen == nil || i.chosen[r.id])
}

func (i *installation) suspended() bool { return !i.suspendedAt.IsZero() }

func (i *installation) selection() string {
	if i.chosen == nil {
		return "all"
	}
	return "selected"
}

// InstallationID returns the number of the App's installation in an account, 0 for none.
func (s *Server) InstallationID(login string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.installations[strings.ToLower(login)]; i != nil {
		return i.id
	}
	return 0
}

// Install installs the App in an account, for all of its repositories, in the name of login.
func (s *Server) Install(account, login string) error {
	return s.withAccount(account, login, func(owner, by *user, i *installation) error {
		if i != nil {
			return fmt.Errorf("the App is installed in the account %s already", account)
		}
		i = &installation{id: s.nextID(), account: owner, createdAt: s.time()}
		s.installations[strings.ToLower(owner.login)] = i
		s.emitInstallation(i, by, "installation", "created", object{"repositories": s.shortRepositories(s.held(i)...), "requester": nil})
		return nil
	})
}

// Uninstall takes the App out of an account. Its tokens end.
func (s *Server) Uninstall(account, login string) error {
	return s.withInstallation(account, login, func(i *installation, by *user) error {
		s.emitInstallation(i, by, "installation", "deleted", object{"repositories": s.shortRepositories(s.held(i)...)})
		delete(s.installations, strings.ToLower(i.account.login))
		maps.DeleteFunc(s.tokens, func(_ string, t *token) bool { return t.installation == i })
		return nil
	})
}

// Suspend keeps the App from an account until Unsuspend: its tokens are refused, and it hears nothing.
func (s *Server) Suspend(account, login string) error {
	return s.withInstallation(account, login, func(i *installation, by *user) error {
		if i.suspended() {
			return errors.New("it is suspended already")
		}
		i.suspendedAt, i.suspendedBy = s.time(), by
		s.emitInstallation(i, by, "installation", "suspend", nil)
		return nil
	})
}

// Unsuspend ends what Suspend began.
func (s *Server) Unsuspend(account, login string) error {
	return s.withInstallation(account, login, func(i *installation, by *user) error {
		if !i.suspended() {
			return errors.New("it is not suspended")
		}
		i.suspendedAt, i.suspendedBy = time.Time{}, nil
		s.emitInstallation(i, by, "installation", "unsuspend", nil)
		return nil
	})
}

// RemoveFromInstallation takes a repository from those that the App is installed for. From then on its account's new repositories are not among
// them by themselves either.
func (s *Server) RemoveFromInstallation(fullName, login string) error {
	return s.choose(fullName, login, func(i *installation, r *repository, by *user) error {
		if !i.holds(r) {
			return errors.New("it is not among the App's")
		}
		if i.chosen == nil {
			i.chosen = map[int64]bool{}
			for _, held := range s.repositoriesOf(i.account) {
				i.chosen[held.id] = true
			}
		}
		delete(i.chosen, r.id)
		s.emitChoice(i, by, "removed", r)
		return nil
	})
}

// AddToInstallation adds a repository to those that the App is installed for.
func (s *Server) AddToInstallation(fullName, login string) error {
	return s.choose(fullName, login, func(i *installation, r *repository, by *user) error {
		if i.holds(r) {
			return errors.New("it is among the App's already")
		}
		i.chosen[r.id] = true
		s.emitChoice(i, by, "added", r)
		return nil
	})
}

// SetAppPermission changes what the App may do, in every account and for the tokens that are out, too: "read", "write", or "" to take a
// permission away. More of it is accepted by every account at once, and told.
func (s *Server) SetAppPermission(name, level string) error {
	if name == "" || name == "metadata" || level != "" && !covers("admin", level) {
		return fmt.Errorf("%q cannot be set to %q; there are read, write and nothing, and metadata is always there", name, level)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	permissions, before := maps.Clone(s.app.Permissions), s.app.Permissions[name]
	if level == "" {
		delete(permissions, name)
	} else {
		permissions[name] = level
	}
	s.app.Permissions = permissions
	if level == "" || covers(before, level) {
		return nil
	}
	for _, i := range s.sortedInstallations() {
		s.emitInstallation(i, i.account, "installation", "new_permissions_accepted", object{"repositories": s.shortRepositories(s.held(i)...)})
	}
	return nil
}

// withAccount calls f with mu held; the installation is nil where the App is not installed there.
func (s *Server) withAccount(account, login string, f func(owner, by *user, i *installation) error) error {
	owner, err := s.user(account)
	if err != nil {
		return err
	}
	by, err := s.user(login)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return f(owner, by, s.installations[strings.ToLower(account)])
}

func (s *Server) withInstallation(account, login string, f func(i *installation, by *user) error) error {
	return s.withAccount(account, login, func(_, by *user, i *installation) error {
		if i == nil {
			return fmt.Errorf("the App is not installed in the account %s", account)
		}
		if err := f(i, by); err != nil {
			return fmt.Errorf("change the installation in the account %s: %w", account, err)
		}
		return nil
	})
}

func (s *Server) choose(fullName, login string, f func(i *installation, r *repository, by *user) error) error {
	r, err := s.repository(fullName)
	if err != nil {
		return err
	}
	return s.withInstallation(r.owner().login, login, func(i *installation, by *user) error { return f(i, r, by) })
}

// sortedInstallations returns all, oldest first. Call it with mu held, as the rest of this file.
func (s *Server) sortedInstallations() []*installation {
	return slices.SortedFunc(maps.Values(s.installations), func(a, b *installation) int { return cmp.Compare(a.id, b.id) })
}

// installationOf returns the installation that is for a repository, suspended or not, nil for none.
func (s *Server) installationOf(r *repository) *installation {
	if i := s.installations[strings.ToLower(r.owner().login)]; i != nil && i.holds(r) {
		return i
	}
	return nil
}

func (s *Server) repositoriesOf(account *user) []*repository {
	var all []*repository
	for _, r := range s.repositories {
		if r.owner() == account {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *repository) int { return cmp.Compare(a.id, b.id) })
	return all
}

func (s *Server) held(i *installation) []*repository {
	return slices.DeleteFunc(s.repositoriesOf(i.account), func(r *repository) bool { return !i.holds(r) })
}

func (s *Server) shortRepositories(all ...*repository) []object {
	items := make([]object, 0, len(all))
	for _, r := range all {
		items = append(items, object{
			"id": r.id, "node_id": nodeID("Repository", r.id), "name": r.name(), "full_name": r.fullName(), "private": r.private,
		})
	}
	return items
}

func (s *Server) emitChoice(i *installation, by *user, action string, r *repository) {
	payload := object{"repository_selection": i.selection(), "repositories_added": []object{}, "repositories_removed": []object{}, "requester": nil}
	payload["repositories_"+action] = s.shortRepositories(r)
	s.emitInstallation(i, by, "installation_repositories", action, payload)
}

// emitInstallation queues an event about an installation, which every App hears of.
func (s *Server) emitInstallation(i *installation, sender *user, event, action string, more object) {
	payload := object{"action": action, "installation": s.installationObject(i), "sender": s.userObject(sender)}
	maps.Copy(payload, more)
	s.queue(&Delivery{Event: event, Action: action, installation: i.id}, payload)
}

func (s *Server) appObject() object {
	owner := s.users[strings.ToLower(s.app.Owner)]
	switch {
	case s.app.Owner == "":
		owner = s.bot()
	case owner == nil:
		owner = &user{login: s.app.Owner, kind: "User"}
	}
	return object{
		"id": s.app.ID, "slug": s.app.Slug, "client_id": "Iv1." + strconv.FormatInt(s.app.ID, 16), "node_id": nodeID("Integration", s.app.ID),
		"owner": s.userObject(owner), "name": cmp.Or(s.app.Name, s.app.Slug), "description": textOrNull(s.app.Description), "external_url": cmp.Or(s.app.Homepage, s.url), "html_url": s.webURL("apps", s.app.Slug),
		"created_at": stamp(s.createdAt), "updated_at": stamp(s.createdAt), "permissions": s.app.Permissions, "events": append([]string{}, s.app.Events...),
	}
}

func (s *Server) installationObject(i *installation) object {
	id := strconv.FormatInt(i.id, 10)
	return object{
		"id": i.id, "account": s.userObject(i.account), "repository_selection": i.selection(),
		"access_tokens_url": s.apiURL("app", "installations", id, "access_tokens"), "repositories_url": s.apiURL("installation", "repositories"),
		"html_url": s.webURL("settings", "installations", id), "app_id": s.app.ID, "app_slug": s.app.Slug, "target_id": i.account.id,
		"target_type": i.account.kind, "permissions": s.app.Permissions, "events": append([]string{}, s.app.Events...),
		"created_at": stamp(i.createdAt), "updated_at": stamp(i.createdAt), "single_file_name": nil, "has_multiple_single_files": false,
		"single_file_paths": []string{}, "suspended_by": s.userOrNull(i.suspendedBy), "suspended_at": stampOrNull(i.suspendedAt),
	}
}

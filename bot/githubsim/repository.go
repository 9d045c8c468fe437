package githubsim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultBranch = "main"
	branchPrefix  = "refs/heads/"
	tagPrefix     = "refs/tags/"
	noCommit      = "0000000000000000000000000000000000000000"
)

var (
	loginPattern = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,37}[A-Za-z0-9])?$`)
	namePattern  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
)

type user struct {
	id              int64
	login, password string
	kind            string // "User", "Organization", "Bot"
}

// A repository's first block never changes; the rest is guarded by Server.mu.
type repository struct {
	id        int64
	dir       string
	private   bool
	parent    *repository // of a fork
	createdAt time.Time
	push      sync.Mutex // held while refs change, and until what follows from it is done. A fork's is taken before its parent's

	place       atomic.Pointer[place] // changes with mu held, and may be read without
	roles       map[string]string     // by lower-case login: "admin", "write", "read"
	refs        map[string]string     // commit by full name of the ref
	pulls       []*pull               // in the order of their numbers, the first is 1
	checks      []*checkRun           // oldest first
	deployments []*deployment         // oldest first
	labels      []*label
	pushedAt    time.Time
	archived    bool
	deleted     bool
}

// A place is where a repository is found.
type place struct {
	owner *user
	name  string
}

func (r *repository) owner() *user { return r.place.Load().owner }

func (r *repository) name() string { return r.place.Load().name }

func (r *repository) fullName() string {
	at := r.place.Load()
	return at.owner.login + "/" + at.name
}

// source returns what a repository is a fork of, nil where it is none or that was deleted. Call it with mu held.
func (r *repository) source() *repository {
	if r.parent == nil || r.parent.deleted {
		return nil
	}
	return r.parent
}

// CreateUser makes an account that can push with its password and comment.
func (s *Server) CreateUser(login, password string) error {
	if !loginPattern.MatchString(login) || reserved(login) {
		return fmt.Errorf("%q cannot be a login", login)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[strings.ToLower(login)] != nil {
		return fmt.Errorf("the account %s is there already", login)
	}
	s.users[strings.ToLower(login)] = &user{id: s.nextID(), login: login, password: password, kind: "User"}
	return nil
}

// CreateBot makes the account of another App, which opens pull requests as "<slug>[bot]", and returns that login.
func (s *Server) CreateBot(slug string) (string, error) {
	if !loginPattern.MatchString(slug) {
		return "", fmt.Errorf("%q cannot be the slug of an App", slug)
	}
	login := slug + "[bot]"
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[strings.ToLower(login)] != nil {
		return "", fmt.Errorf("the account %s is there already", login)
	}
	s.users[strings.ToLower(login)] = &user{id: s.nextID(), login: login, kind: "Bot"}
	return login, nil
}

// CreateRepository makes "owner/name" with one commit of the files (contents by path) on the branch main, and installs the App in the owner's
// account, unless that came without one. An owner who is no user becomes an organisation. No webhook tells of it.
func (s *Server) CreateRepository(ctx context.Context, fullName string, private bool, files map[string]string) error {
	r, err := s.addRepository(fullName, private, nil)
	if err != nil {
		return err
	}
	r.push.Lock()
	defer r.push.Unlock()
	var refs map[string]string
	if err = s.git.create(ctx, r.dir); err == nil {
		err = s.git.commit(ctx, r.dir, defaultBranch, "", s.signature(r.owner()), "Initial commit", files)
	}
	if err == nil {
		refs, err = s.git.refs(ctx, r.dir)
	}
	if err != nil {
		return s.dropRepository(r, fmt.Errorf("create the repository %s: %w", fullName, err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.refs = refs
	account := strings.ToLower(r.owner().login)
	if s.preinstalled && s.installations[account] == nil {
		s.installations[account] = &installation{id: s.nextID(), account: r.owner(), createdAt: s.time()}
	}
	return nil
}

// Fork copies a repository into a user's account, under the same name, and returns the copy's full name. The App is not installed there
// unless the account has a repository of CreateRepository.
func (s *Server) Fork(ctx context.Context, fullName, login string) (string, error) {
	parent, err := s.repository(fullName)
	if err != nil {
		return "", err
	}
	if _, err := s.user(login); err != nil {
		return "", err
	}
	r, err := s.addRepository(login+"/"+parent.name(), parent.private, parent)
	if err != nil {
		return "", err
	}
	r.push.Lock()
	defer r.push.Unlock()
	var refs map[string]string
	if err = s.git.clone(ctx, parent.dir, r.dir); err == nil {
		refs, err = s.git.refs(ctx, r.dir)
	}
	if err != nil {
		return "", s.dropRepository(r, fmt.Errorf("fork %s: %w", fullName, err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.refs = refs
	return r.fullName(), nil
}

func (s *Server) addRepository(fullName string, private bool, parent *repository) (*repository, error) {
	login, name, _ := strings.Cut(fullName, "/")
	if !loginPattern.MatchString(login) || reserved(login) || !namePattern.MatchString(name) ||
		name == "." || name == ".." || strings.HasSuffix(name, ".git") {
		return nil, fmt.Errorf("%q is not of the form owner/name", fullName)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repositories[strings.ToLower(fullName)] != nil {
		return nil, fmt.Errorf("the repository %s is there already", fullName)
	}
	owner := s.users[strings.ToLower(login)]
	if owner == nil {
		owner = &user{id: s.nextID(), login: login, kind: "Organization"}
		s.users[strings.ToLower(login)] = owner
	}
	now, id := s.time(), s.nextID()
	r := &repository{
		id: id, private: private, parent: parent, createdAt: now, pushedAt: now,
		dir:   filepath.Join(s.dir, strconv.FormatInt(id, 10)+".git"),
		roles: map[string]string{strings.ToLower(login): "admin"},
		refs:  map[string]string{},
	}
	r.place.Store(&place{owner: owner, name: name})
	s.repositories[strings.ToLower(fullName)] = r
	return r, nil
}

// DeleteRepository deletes a repository in the name of somebody with admin access. Open pull requests from it, being a fork, stay open at the
// commit where they are; its own forks stay.
func (s *Server) DeleteRepository(fullName, login string) error {
	return s.administer(fullName, login, func(r *repository, by *user) error {
		s.emit(r, by, "repository", "deleted", object{})
		delete(s.repositories, strings.ToLower(r.fullName()))
		r.deleted, r.refs = true, map[string]string{}
		maps.DeleteFunc(s.moved, func(_ string, to *repository) bool { return to == r })
		if err := os.RemoveAll(r.dir); err != nil {
			return fmt.Errorf("delete its files: %w", err)
		}
		return nil
	})
}

// dropRepository takes a half-made repository away and returns err, with what went wrong meanwhile.
func (s *Server) dropRepository(r *repository, err error) error {
	s.mu.Lock()
	delete(s.repositories, strings.ToLower(r.fullName()))
	s.mu.Unlock()
	return errors.Join(err, os.RemoveAll(r.dir))
}

// SetPermission says what a user may do in a repository: "admin", "write", "read" or "none".
func (s *Server) SetPermission(fullName, login, permission string) error {
	r, err := s.repository(fullName)
	if err != nil {
		return err
	}
	u, err := s.user(login)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch permission {
	case "admin", "write", "read":
		r.roles[strings.ToLower(u.login)] = permission
	case "none":
		delete(r.roles, strings.ToLower(u.login))
	default:
		return fmt.Errorf("%q is no permission; there are admin, write, read and none", permission)
	}
	return nil
}

// role returns what a user may do: everybody reads what is public.
func (r *repository) role(login string) string {
	if role := r.roles[strings.ToLower(login)]; role != "" {
		return role
	}
	if r.private {
		return "none"
	}
	return "read"
}

func (r *repository) maySee(login string) bool { return r.role(login) != "none" }

func (r *repository) mayPush(login string) bool {
	role := r.role(login)
	return role == "admin" || role == "write"
}

func (s *Server) repository(fullName string) (*repository, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.repositories[strings.ToLower(fullName)]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("there is no repository %s", fullName)
}

func (s *Server) user(login string) (*user, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[strings.ToLower(login)]; u != nil {
		return u, nil
	}
	return nil, fmt.Errorf("there is no account %s", login)
}

func (s *Server) signature(u *user) signature {
	return signature{Name: u.login, Email: u.login + "@users.noreply.localhost", Date: s.time()}
}

// author returns the account of whoever signed a commit, nil where none fits. Call it with mu held.
func (s *Server) author(by signature) *user {
	login, _, _ := strings.Cut(by.Email, "@")
	if u := s.users[strings.ToLower(login)]; u != nil {
		return u
	}
	return s.users[strings.ToLower(by.Name)]
}

// commitOf returns the commit that a branch, a tag or a full commit id names, "" for none.
func (s *Server) commitOf(r *repository, ref string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range []string{branchPrefix + ref, tagPrefix + ref, "refs/" + ref} {
		if sha := r.refs[name]; sha != "" {
			return sha
		}
	}
	return ""
}

package githubsim

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A PullRequest is one of a repository. OpenPullRequest reads the first block.
type PullRequest struct {
	Repository string // "acme/shop", the one that it is opened in
	Head       string // a branch, or "login:branch" for one of that account's fork
	Base       string // a branch; empty is main
	Title      string
	Body       string // Markdown
	Author     string // a login
	Draft      bool

	Number  int
	HeadSHA string
	Labels  []string
	Open    bool
	Merged  bool
}

// A pull's first block never changes; the rest is guarded by Server.mu, and baseRef changes only while the base's push lock is held too.
type pull struct {
	id        int64
	number    int
	base      *repository
	head      *repository // may be deleted
	headRef   string
	body      string
	author    *user
	createdAt time.Time

	baseRef          string
	title            string
	draft            bool
	labels           []*label
	headSHA, baseSHA string
	stat             diffStat
	open             bool
	updatedAt        time.Time
	closedAt         time.Time
	closedBy         *user
	mergeSHA         string // the base's commit that merged it; empty while it is not merged
	comments         []*comment
}

// OpenPullRequest opens a pull request and returns its number.
func (s *Server) OpenPullRequest(ctx context.Context, p PullRequest) (int, error) {
	base, err := s.repository(p.Repository)
	if err != nil {
		return 0, err
	}
	author, err := s.user(p.Author)
	if err != nil {
		return 0, err
	}
	head, branch := base, p.Head
	if login, ref, ok := strings.Cut(p.Head, ":"); ok {
		branch = ref
		if head = s.forkOf(base, login); head == nil {
			return 0, fmt.Errorf("%s has no fork of %s", login, base.fullName())
		}
	}
	if p.Base == "" {
		p.Base = defaultBranch
	}
	base.push.Lock()
	defer base.push.Unlock()
	if err := s.canOpen(base, head, p.Base, branch); err != nil {
		return 0, err
	}
	s.mu.Lock()
	now := s.time()
	pr := &pull{
		id: s.nextID(), number: len(base.pulls) + 1, base: base, head: head, headRef: branch, baseRef: p.Base,
		title: p.Title, body: p.Body, author: author, draft: p.Draft, createdAt: now, updatedAt: now, open: true,
	}
	s.mu.Unlock()
	tip, err := s.track(ctx, pr)
	if err != nil {
		return 0, fmt.Errorf("open a pull request in %s: %w", p.Repository, err)
	}
	if tip.stat.Commits == 0 {
		return 0, fmt.Errorf("there are no commits between %s and %s", p.Base, branch)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	base.pulls = append(base.pulls, pr)
	pr.set(tip)
	s.emitPull(pr, author, "opened", nil)
	return pr.number, nil
}

// forkOf returns an account's fork of a repository, or the repository itself where it is the account's, nil for none.
func (s *Server) forkOf(base *repository, login string) *repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.EqualFold(base.owner().login, login) {
		return base
	}
	for _, r := range s.repositories {
		if r.parent == base && strings.EqualFold(r.owner().login, login) {
			return r
		}
	}
	return nil
}

func (s *Server) canOpen(base, head *repository, baseRef, headRef string) error {
	headSHA, baseSHA := s.commitOf(head, "heads/"+headRef), s.commitOf(base, "heads/"+baseRef)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case base.archived:
		return errArchived
	case headSHA == "":
		return fmt.Errorf("there is no branch %s in %s", headRef, head.fullName())
	case baseSHA == "":
		return fmt.Errorf("there is no branch %s in %s", baseRef, base.fullName())
	}
	for _, other := range base.pulls {
		if other.open && other.head == head && other.headRef == headRef && other.baseRef == baseRef {
			return fmt.Errorf("pull request #%d from %s is open already", other.number, headRef)
		}
	}
	return nil
}

// A tip is where a pull request's branches are.
type tip struct {
	head, base string
	stat       diffStat
}

func (p *pull) set(t tip) { p.headSHA, p.baseSHA, p.stat = t.head, t.base, t.stat }

// track brings refs/pull/N/head to the head's branch and looks how far the two are apart. The base's push lock is held.
func (s *Server) track(ctx context.Context, p *pull) (tip, error) {
	t := tip{head: s.commitOf(p.head, "heads/"+p.headRef), base: s.commitOf(p.base, "heads/"+p.baseRef)}
	if t.head == "" || t.base == "" {
		return tip{}, errors.New("its branch is not there any more")
	}
	var err error
	ref := "refs/pull/" + strconv.Itoa(p.number) + "/head"
	if p.head == p.base {
		_, err = s.git.run(ctx, p.base.dir, nil, "update-ref", "--end-of-options", ref, t.head)
	} else {
		_, err = s.git.run(ctx, p.base.dir, nil, "fetch", "--quiet", "--no-tags", "--end-of-options", p.head.dir, "+"+t.head+":"+ref)
	}
	if err != nil {
		return tip{}, err
	}
	if t.stat, err = s.git.diffStat(ctx, p.base.dir, t.base, t.head); err != nil {
		return tip{}, err
	}
	refs, err := s.git.refs(ctx, p.base.dir)
	if err != nil {
		return tip{}, err
	}
	s.mu.Lock()
	p.base.refs = refs
	s.mu.Unlock()
	return t, nil
}

// followBranch brings open pull requests along after a branch of r changed. r's push lock is held.
func (s *Server) followBranch(ctx context.Context, r *repository, by *user, branch, before, after string) error {
	s.mu.Lock()
	var fromIt, ontoIt []*pull
	for _, other := range s.repositories {
		for _, p := range other.pulls {
			if p.open && p.head == r && p.headRef == branch {
				fromIt = append(fromIt, p)
			} else if p.open && p.base == r && p.baseRef == branch {
				ontoIt = append(ontoIt, p)
			}
		}
	}
	s.mu.Unlock()
	var errs []error
	for _, p := range fromIt {
		if after == "" {
			s.closePull(p, by, "")
			continue
		}
		errs = append(errs, s.synchronize(ctx, p, by, before, after))
	}
	for _, p := range ontoIt {
		s.mu.Lock()
		head := p.headSHA
		s.mu.Unlock()
		if after != "" && s.git.isAncestor(ctx, r.dir, head, after) {
			s.closePull(p, by, after)
		}
	}
	return errors.Join(errs...)
}

func (s *Server) synchronize(ctx context.Context, p *pull, by *user, before, after string) error {
	if p.base != p.head {
		p.base.push.Lock()
		defer p.base.push.Unlock()
	}
	t, err := s.track(ctx, p)
	if err != nil {
		return fmt.Errorf("bring pull request #%d of %s along: %w", p.number, p.base.fullName(), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.set(t)
	p.updatedAt = s.time()
	s.emitPull(p, by, "synchronize", object{"before": before, "after": after})
	return nil
}

// closePull closes an open pull request, as merged where mergeSHA names the base's commit that did it.
func (s *Server) closePull(p *pull, by *user, mergeSHA string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.open {
		return
	}
	now := s.time()
	p.open, p.updatedAt, p.closedAt, p.closedBy, p.mergeSHA = false, now, now, by, mergeSHA
	s.emitPull(p, by, "closed", nil)
}

// ClosePullRequest closes a pull request without merging it.
func (s *Server) ClosePullRequest(fullName string, number int, login string) error {
	p, by, err := s.pullAndUser(fullName, number, login)
	if err != nil {
		return err
	}
	s.mu.Lock()
	open := p.open
	s.mu.Unlock()
	if !open {
		return fmt.Errorf("pull request #%d of %s is closed already", number, fullName)
	}
	s.closePull(p, by, "")
	return nil
}

// ReopenPullRequest opens a closed pull request again, at its branch's present commit. It fails where it was merged or its branch is gone.
func (s *Server) ReopenPullRequest(ctx context.Context, fullName string, number int, login string) error {
	p, by, err := s.pullAndUser(fullName, number, login)
	if err != nil {
		return err
	}
	p.base.push.Lock()
	defer p.base.push.Unlock()
	s.mu.Lock()
	open, merged := p.open, p.mergeSHA != ""
	s.mu.Unlock()
	if open || merged {
		return fmt.Errorf("pull request #%d of %s is not closed, or is merged", number, fullName)
	}
	t, err := s.track(ctx, p)
	if err != nil {
		return fmt.Errorf("reopen pull request #%d of %s: %w", number, fullName, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.set(t)
	p.open, p.updatedAt, p.closedAt, p.closedBy = true, s.time(), time.Time{}, nil
	s.emitPull(p, by, "reopened", nil)
	return nil
}

// PullRequest returns a pull request as it is now.
func (s *Server) PullRequest(fullName string, number int) (PullRequest, error) {
	p, err := s.pull(fullName, number)
	if err != nil {
		return PullRequest{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	head := p.headRef
	if p.head != p.base {
		head = p.head.owner().login + ":" + p.headRef
	}
	var labels []string
	for _, l := range p.labels {
		labels = append(labels, l.name)
	}
	return PullRequest{
		Repository: p.base.fullName(), Labels: labels, Head: head, Base: p.baseRef, Title: p.title, Body: p.body, Author: p.author.login, Draft: p.draft,
		Number: p.number, HeadSHA: p.headSHA, Open: p.open, Merged: p.mergeSHA != "",
	}, nil
}

func (s *Server) pull(fullName string, number int) (*pull, error) {
	r, err := s.repository(fullName)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if number < 1 || number > len(r.pulls) {
		return nil, fmt.Errorf("there is no pull request #%d in %s", number, fullName)
	}
	return r.pulls[number-1], nil
}

func (s *Server) pullAndUser(fullName string, number int, login string) (*pull, *user, error) {
	p, err := s.pull(fullName, number)
	if err != nil {
		return nil, nil, err
	}
	u, err := s.user(login)
	return p, u, err
}

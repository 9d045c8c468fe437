package githubsim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// commitsInPush is how many commits a push event lists at most.
const commitsInPush = 20

// A Change is a commit to be made.
type Change struct {
	Repository string            // "acme/shop"
	Branch     string            // made where it is not there yet
	Base       string            // the branch that a new one starts from; empty is main
	Author     string            // a login, who is also the one that pushes; empty is the repository's owner
	Message    string            // empty is "Change <branch>"
	Files      map[string]string // contents by path, laid over what is there
}

// Commit makes a commit and pushes it, with the webhooks that follow from that, and returns its id.
func (s *Server) Commit(ctx context.Context, c Change) (string, error) {
	r, err := s.repository(c.Repository)
	if err != nil {
		return "", err
	}
	by := r.owner()
	if c.Author != "" {
		if by, err = s.user(c.Author); err != nil {
			return "", err
		}
	}
	if err := s.git.checkBranch(ctx, c.Branch); err != nil {
		return "", err
	}
	if c.Base == "" {
		c.Base = defaultBranch
	}
	if c.Message == "" {
		c.Message = "Change " + c.Branch
	}
	var sha string
	err = s.receive(ctx, r, by, func() error {
		from := s.commitOf(r, "heads/"+c.Branch)
		if from == "" {
			from = s.commitOf(r, "heads/"+c.Base)
		}
		if from == "" {
			return fmt.Errorf("there is no branch %s", c.Base)
		}
		return s.git.commit(ctx, r.dir, c.Branch, from, s.signature(by), c.Message, c.Files)
	})
	if err == nil {
		sha = s.commitOf(r, "heads/"+c.Branch)
	}
	if err != nil {
		return "", fmt.Errorf("commit to %s of %s: %w", c.Branch, c.Repository, err)
	}
	return sha, nil
}

// DeleteBranch deletes a branch as a push by the login does; open pull requests from it are closed.
func (s *Server) DeleteBranch(ctx context.Context, fullName, branch, login string) error {
	r, err := s.repository(fullName)
	if err != nil {
		return err
	}
	by, err := s.user(login)
	if err != nil {
		return err
	}
	if branch == defaultBranch {
		return fmt.Errorf("the branch %s of %s is its default, which cannot be deleted", branch, fullName)
	}
	if s.commitOf(r, "heads/"+branch) == "" {
		return fmt.Errorf("there is no branch %s in %s", branch, fullName)
	}
	err = s.receive(ctx, r, by, func() error {
		_, err := s.git.run(ctx, r.dir, nil, "update-ref", "-d", "--end-of-options", branchPrefix+branch)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete the branch %s of %s: %w", branch, fullName, err)
	}
	return nil
}

// Branch returns the commit that a branch points to, "" where there is no such branch or repository.
func (s *Server) Branch(fullName, branch string) string {
	r, err := s.repository(fullName)
	if err != nil {
		return ""
	}
	return s.commitOf(r, "heads/"+branch)
}

// receive runs what changes refs and then does what GitHub does after a push: it tells the webhooks, and brings the pull requests along.
func (s *Server) receive(ctx context.Context, r *repository, by *user, change func() error) error {
	r.push.Lock()
	defer r.push.Unlock()
	s.mu.Lock()
	before, archived := r.refs, r.archived
	s.mu.Unlock()
	if archived {
		return errArchived
	}
	if err := change(); err != nil {
		return err
	}
	// The refs have changed, so what follows from it is owed also to a client that has hung up meanwhile.
	ctx = context.WithoutCancel(ctx)
	after, err := s.git.refs(ctx, r.dir)
	if err != nil {
		return err
	}
	s.mu.Lock()
	r.refs = after
	s.mu.Unlock()
	names := maps.Clone(before)
	maps.Copy(names, after)
	var errs []error
	for _, ref := range slices.Sorted(maps.Keys(names)) {
		if before[ref] == after[ref] || strings.HasPrefix(ref, "refs/pull/") {
			continue
		}
		errs = append(errs, s.announce(ctx, r, by, ref, before[ref], after[ref]))
	}
	return errors.Join(errs...)
}

// announce does what follows from the change of one ref; before or after is empty where the ref was not or is no more. The repository's push
// lock is held.
func (s *Server) announce(ctx context.Context, r *repository, by *user, ref, before, after string) error {
	p := refChange{ref: ref, before: before, after: after}
	if err := s.describe(ctx, r, &p); err != nil {
		return err
	}
	s.mu.Lock()
	r.pushedAt = s.time()
	s.emit(r, by, "push", "", s.pushPayload(r, by, p))
	if after == "" {
		kind, short := "branch", strings.TrimPrefix(ref, branchPrefix)
		if strings.HasPrefix(ref, tagPrefix) {
			kind, short = "tag", strings.TrimPrefix(ref, tagPrefix)
		}
		s.emit(r, by, "delete", "", object{"ref": short, "ref_type": kind, "pusher_type": "user"})
	}
	s.mu.Unlock()
	if branch, ok := strings.CutPrefix(ref, branchPrefix); ok {
		return s.followBranch(ctx, r, by, branch, before, after)
	}
	return nil
}

// A refChange is one ref of a push.
type refChange struct {
	ref, before, after string
	forced             bool
	commits            []pushedCommit // oldest first
	head               *pushedCommit
}

type pushedCommit struct {
	gitCommit
	added, modified, removed []string
}

// describe looks up which commits a push brought. The tip of a tag may be no commit; then there are none.
func (s *Server) describe(ctx context.Context, r *repository, p *refChange) error {
	if p.after == "" || !strings.HasPrefix(p.ref, branchPrefix) {
		return nil
	}
	revisions, limit := []string{p.after}, commitsInPush
	if p.before != "" {
		revisions = append(revisions, "^"+p.before)
		p.forced = !s.git.isAncestor(ctx, r.dir, p.before, p.after)
	} else {
		// A new branch brings what main does not have.
		if base := s.commitOf(r, "heads/"+defaultBranch); base != "" && base != p.after {
			revisions = append(revisions, "^"+base)
		}
	}
	commits, err := s.git.log(ctx, r.dir, limit, revisions...)
	if err != nil {
		return err
	}
	if len(commits) == 0 || commits[0].SHA != p.after {
		if commits, err = s.git.log(ctx, r.dir, 1, p.after); err != nil {
			return err
		}
	}
	for _, c := range slices.Backward(commits) {
		pushed := pushedCommit{gitCommit: c}
		if pushed.added, pushed.modified, pushed.removed, err = s.git.touched(ctx, r.dir, c.SHA); err != nil {
			return err
		}
		p.commits = append(p.commits, pushed)
	}
	p.head = &p.commits[len(p.commits)-1]
	return nil
}

package githubsim

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Retitle changes a pull request's title, as its author and people with write access may.
func (s *Server) Retitle(fullName string, number int, title, login string) error {
	return s.editPull(fullName, number, login, false, func(p *pull, by *user) error {
		if strings.TrimSpace(title) == "" {
			return errors.New("a pull request needs a title")
		}
		old := p.title
		p.title = title
		s.emitPull(p, by, "edited", object{"changes": object{"title": object{"from": old}}})
		return nil
	})
}

// SetDraft makes a pull request a draft, or ready for review, as its author and people with write access may.
func (s *Server) SetDraft(fullName string, number int, draft bool, login string) error {
	return s.editPull(fullName, number, login, false, func(p *pull, by *user) error {
		if !p.open || p.draft == draft {
			return errors.New("it is closed, or is that already")
		}
		p.draft = draft
		action := "ready_for_review"
		if draft {
			action = "converted_to_draft"
		}
		s.emitPull(p, by, action, nil)
		return nil
	})
}

// ChangeBase has a pull request be for another branch, as its author and people with write access may.
func (s *Server) ChangeBase(ctx context.Context, fullName string, number int, branch, login string) error {
	p, err := s.pull(fullName, number)
	if err != nil {
		return err
	}
	p.base.push.Lock()
	defer p.base.push.Unlock()
	base := s.commitOf(p.base, "heads/"+branch)
	if base == "" {
		return fmt.Errorf("there is no branch %s in %s", branch, fullName)
	}
	s.mu.Lock()
	head := p.headSHA
	s.mu.Unlock()
	stat, err := s.git.diffStat(ctx, p.base.dir, base, head)
	if err != nil {
		return fmt.Errorf("change the base of pull request #%d of %s: %w", number, fullName, err)
	}
	if stat.Commits == 0 {
		return fmt.Errorf("there are no new commits between %s and the head of pull request #%d", branch, number)
	}
	return s.editPull(fullName, number, login, false, func(p *pull, by *user) error {
		if !p.open || p.baseRef == branch {
			return fmt.Errorf("it is closed, or is for %s already", branch)
		}
		changes := object{"base": object{"ref": object{"from": p.baseRef}, "sha": object{"from": p.baseSHA}}}
		p.baseRef, p.baseSHA, p.stat = branch, base, stat
		s.emitPull(p, by, "edited", object{"changes": changes})
		return nil
	})
}

// editPull has a change made to a pull request, with mu held, in the name of somebody who may: with write access, or its author unless only the
// former count.
func (s *Server) editPull(fullName string, number int, login string, writersOnly bool, change func(*pull, *user) error) error {
	p, by, err := s.pullAndUser(fullName, number, login)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.base.mayPush(by.login) && (writersOnly || p.author != by) {
		return fmt.Errorf("%s may not change pull request #%d of %s", login, number, fullName)
	}
	if p.base.archived {
		return fmt.Errorf("change pull request #%d of %s: %w", number, fullName, errArchived)
	}
	before := p.updatedAt
	p.updatedAt = s.time()
	if err := change(p, by); err != nil {
		p.updatedAt = before
		return fmt.Errorf("change pull request #%d of %s: %w", number, fullName, err)
	}
	return nil
}

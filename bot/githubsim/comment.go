package githubsim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// commentLimit is the number of characters that GitHub takes for a comment.
const commentLimit = 65536

// reactionContents are what a reaction can be, in the order in which GitHub shows them.
var reactionContents = [...]string{"+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"}

// A Comment is one of a pull request's conversation.
type Comment struct {
	ID                   int64
	Author               string // a login; the App's is "<slug>[bot]"
	Body                 string // Markdown
	CreatedAt, UpdatedAt time.Time
	Reactions            []Reaction
}

// A Reaction is what an account thinks of a comment.
type Reaction struct {
	ID        int64
	Author    string
	Content   string // "eyes", "rocket", "confused" and the rest of GitHub's eight
	CreatedAt time.Time
}

// comment is guarded by Server.mu, but for its id, author and createdAt, which never change.
type comment struct {
	id        int64
	pull      *pull
	author    *user
	byApp     bool
	body      string
	createdAt time.Time
	updatedAt time.Time
	reactions []*reaction
}

type reaction struct {
	id        int64
	author    *user
	content   string
	createdAt time.Time
}

var (
	errNoBody      = errors.New("a comment needs a text")
	errBodyTooLong = fmt.Errorf("a comment has at most %d characters", commentLimit)
)

// Comment writes a comment in a user's name and returns its number.
func (s *Server) Comment(fullName string, number int, login, body string) (int64, error) {
	p, by, err := s.pullAndUser(fullName, number, login)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.addComment(p, by, body, false)
	if err != nil {
		return 0, fmt.Errorf("comment on #%d of %s: %w", number, fullName, err)
	}
	return c.id, nil
}

// Comments returns a pull request's comments, oldest first, without what the pull request itself says.
func (s *Server) Comments(fullName string, number int) ([]Comment, error) {
	p, err := s.pull(fullName, number)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	comments := make([]Comment, 0, len(p.comments))
	for _, c := range p.comments {
		comments = append(comments, c.export())
	}
	return comments, nil
}

// DeleteComment deletes a comment, as a person does by hand.
func (s *Server) DeleteComment(fullName string, id int64, login string) error {
	r, err := s.repository(fullName)
	if err != nil {
		return err
	}
	by, err := s.user(login)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := r.comment(id)
	if c == nil {
		return fmt.Errorf("there is no comment %d in %s", id, fullName)
	}
	s.deleteComment(c, by)
	return nil
}

func (c *comment) export() Comment {
	out := Comment{ID: c.id, Author: c.author.login, Body: c.body, CreatedAt: c.createdAt, UpdatedAt: c.updatedAt}
	for _, r := range c.reactions {
		out.Reactions = append(out.Reactions, Reaction{ID: r.id, Author: r.author.login, Content: r.content, CreatedAt: r.createdAt})
	}
	return out
}

// comment returns one by its number, nil for none. Call it with mu held.
func (r *repository) comment(id int64) *comment {
	for _, p := range r.pulls {
		i, found := slices.BinarySearchFunc(p.comments, id, func(c *comment, id int64) int { return cmp.Compare(c.id, id) })
		if found {
			return p.comments[i]
		}
	}
	return nil
}

func checkBody(body string) error {
	if body == "" {
		return errNoBody
	}
	if utf8.RuneCountInString(body) > commentLimit {
		return errBodyTooLong
	}
	return nil
}

// addComment is called with mu held, as are the next three.
func (s *Server) addComment(p *pull, by *user, body string, byApp bool) (*comment, error) {
	if p.base.archived {
		return nil, errArchived
	}
	if err := checkBody(body); err != nil {
		return nil, err
	}
	now := s.time()
	c := &comment{id: s.nextID(), pull: p, author: by, byApp: byApp, body: body, createdAt: now, updatedAt: now}
	p.comments = append(p.comments, c)
	p.updatedAt = now
	s.emitComment(c, by, "created", nil)
	return c, nil
}

func (s *Server) editComment(c *comment, by *user, body string) error {
	if err := checkBody(body); err != nil {
		return err
	}
	old := c.body
	c.body, c.updatedAt = body, s.time()
	s.emitComment(c, by, "edited", object{"changes": object{"body": object{"from": old}}})
	return nil
}

func (s *Server) deleteComment(c *comment, by *user) {
	c.pull.comments = slices.DeleteFunc(c.pull.comments, func(other *comment) bool { return other == c })
	s.emitComment(c, by, "deleted", nil)
}

// react adds a reaction, or returns the one that the account has given already.
func (s *Server) react(c *comment, by *user, content string) (r *reaction, added bool) {
	for _, r := range c.reactions {
		if r.author == by && r.content == content {
			return r, false
		}
	}
	r = &reaction{id: s.nextID(), author: by, content: content, createdAt: s.time()}
	c.reactions = append(c.reactions, r)
	return r, true
}

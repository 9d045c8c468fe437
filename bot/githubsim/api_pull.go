package githubsim

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

func (c *call) listPulls() answer {
	q := c.r.URL.Query()
	state := q.Get("state")
	if state == "" {
		state = "open"
	}
	if !slices.Contains([]string{"open", "closed", "all"}, state) {
		return invalidField("PullRequest", "state", "invalid", "state is open, closed or all")
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	chosen := slices.DeleteFunc(slices.Clone(c.repo.pulls), func(p *pull) bool {
		return state != "all" && p.open != (state == "open") ||
			q.Has("head") && q.Get("head") != p.head.owner().login+":"+p.headRef ||
			q.Has("base") && q.Get("base") != p.baseRef
	})
	byUpdate := q.Get("sort") == "updated"
	slices.SortStableFunc(chosen, func(a, b *pull) int {
		if order := a.updatedAt.Compare(b.updatedAt); byUpdate && order != 0 {
			return order
		}
		return a.number - b.number
	})
	// The newest come first unless something else was asked for.
	if q.Get("direction") != "asc" && (q.Get("direction") == "desc" || q.Get("sort") == "" || q.Get("sort") == "created") {
		slices.Reverse(chosen)
	}
	items := make([]object, 0, len(chosen))
	for _, p := range chosen {
		items = append(items, c.s.pullObject(p))
	}
	return c.paginate(items)
}

// pull returns the one of the path, nil for none. Call it with mu held.
func (c *call) pull() *pull {
	n := c.number("number")
	if n < 1 || n > int64(len(c.repo.pulls)) {
		return nil
	}
	return c.repo.pulls[n-1]
}

func (c *call) getPull() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if p := c.pull(); p != nil {
		return ok(c.s.pullObject(p))
	}
	return notFound()
}

// filesOfPull is how many files GitHub lists of a pull request at most.
const filesOfPull = 3000

func (c *call) listFiles() answer {
	c.s.mu.Lock()
	p := c.pull()
	if p == nil {
		c.s.mu.Unlock()
		return notFound()
	}
	base, head := p.baseSHA, p.headSHA
	c.s.mu.Unlock()
	changes, err := c.s.git.changedFiles(c.r.Context(), c.repo.dir, base, head)
	if err != nil {
		return c.s.failure(err)
	}
	changes = changes[:min(len(changes), filesOfPull)]
	from, to, header := c.window(len(changes))
	web, api := c.s.webURL(c.repo.fullName()), c.s.apiURL("repos", c.repo.fullName(), "contents")
	items := make([]object, 0, to-from)
	for _, f := range changes[from:to] {
		path := (&url.URL{Path: f.Path}).EscapedPath()
		o := object{
			"sha": f.SHA, "filename": f.Path, "status": f.Status, "additions": f.Additions, "deletions": f.Deletions, "changes": f.Additions + f.Deletions,
			"blob_url": web + "/blob/" + head + "/" + path, "raw_url": web + "/raw/" + head + "/" + path, "contents_url": api + "/" + path + "?ref=" + head,
		}
		if f.Before != "" {
			o["previous_filename"] = f.Before
		}
		items = append(items, o)
	}
	return answer{status: http.StatusOK, body: items, header: header}
}

func (c *call) listComments() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	p := c.pull()
	if p == nil {
		return notFound()
	}
	since, err := time.Parse(time.RFC3339, c.r.URL.Query().Get("since"))
	if err != nil {
		since = time.Time{}
	}
	items := make([]object, 0, len(p.comments))
	for _, m := range p.comments {
		if !m.updatedAt.Before(since) {
			items = append(items, c.s.commentObject(m))
		}
	}
	return c.paginate(items)
}

// commentBody reads the text of a comment from the request.
func (c *call) commentBody() (string, *answer) {
	var in struct {
		Body *string `json:"body"`
	}
	if bad := c.decode(&in, false); bad != nil {
		return "", bad
	}
	if in.Body == nil {
		a := invalid("Invalid request.\n\n\"body\" wasn't supplied.")
		return "", &a
	}
	return *in.Body, nil
}

func commentRefused(err error) answer {
	if errors.Is(err, errBodyTooLong) {
		return invalidField("IssueComment", "body", "custom", "body is too long (maximum is "+strconv.Itoa(commentLimit)+" characters)")
	}
	return invalidField("IssueComment", "body", "missing_field", "body can't be blank")
}

func (c *call) createComment() answer {
	body, bad := c.commentBody()
	if bad != nil {
		return *bad
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	p := c.pull()
	if p == nil {
		return notFound()
	}
	m, err := c.s.addComment(p, c.s.bot(), body, true)
	if err != nil {
		return commentRefused(err)
	}
	o := c.s.commentObject(m)
	return answer{status: http.StatusCreated, body: o, header: http.Header{"Location": {o["url"].(string)}}}
}

func (c *call) getComment() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if m := c.repo.comment(c.number("comment")); m != nil {
		return ok(c.s.commentObject(m))
	}
	return notFound()
}

func (c *call) updateComment() answer {
	body, bad := c.commentBody()
	if bad != nil {
		return *bad
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	m := c.repo.comment(c.number("comment"))
	if m == nil {
		return notFound()
	}
	if err := c.s.editComment(m, c.s.bot(), body); err != nil {
		return commentRefused(err)
	}
	return ok(c.s.commentObject(m))
}

func (c *call) removeComment() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	m := c.repo.comment(c.number("comment"))
	if m == nil {
		return notFound()
	}
	c.s.deleteComment(m, c.s.bot())
	return answer{status: http.StatusNoContent}
}

func (c *call) listReactions() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	m := c.repo.comment(c.number("comment"))
	if m == nil {
		return notFound()
	}
	content := c.r.URL.Query().Get("content")
	items := make([]object, 0, len(m.reactions))
	for _, r := range m.reactions {
		if content == "" || r.content == content {
			items = append(items, c.s.reactionObject(r))
		}
	}
	return c.paginate(items)
}

func (c *call) createReaction() answer {
	var in struct {
		Content string `json:"content"`
	}
	if bad := c.decode(&in, false); bad != nil {
		return *bad
	}
	if !slices.Contains(reactionContents[:], in.Content) {
		return invalidField("Reaction", "content", "invalid", in.Content+" is no reaction")
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	m := c.repo.comment(c.number("comment"))
	if m == nil {
		return notFound()
	}
	r, added := c.s.react(m, c.s.bot(), in.Content)
	if !added {
		return ok(c.s.reactionObject(r))
	}
	return answer{status: http.StatusCreated, body: c.s.reactionObject(r)}
}

func (c *call) deleteReaction() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	m := c.repo.comment(c.number("comment"))
	if m == nil {
		return notFound()
	}
	kept := slices.DeleteFunc(slices.Clone(m.reactions), func(r *reaction) bool { return r.id == c.number("reaction") && r.author == c.s.bot() })
	if len(kept) == len(m.reactions) {
		return notFound()
	}
	m.reactions = kept
	return answer{status: http.StatusNoContent}
}

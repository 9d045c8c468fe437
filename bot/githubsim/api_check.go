package githubsim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// What GitHub takes of a check run (docs.github.com, "REST API endpoints for check runs").
const (
	checkTextLimit         = 65535 // characters
	annotationsInRequest   = 50
	annotationTitleLimit   = 255
	annotationMessageLimit = 64 << 10 // bytes
	actionsLimit           = 3
	actionLabelLimit       = 20
	actionTextLimit        = 40
	actionIdentifierLimit  = 20
)

// checkInput is the body of a request that makes or changes a check run; nil is what the request does not name.
type checkInput struct {
	Name        *string        `json:"name"`
	HeadSHA     *string        `json:"head_sha"`
	DetailsURL  *string        `json:"details_url"`
	ExternalID  *string        `json:"external_id"`
	Status      *string        `json:"status"`
	Conclusion  *string        `json:"conclusion"`
	StartedAt   *string        `json:"started_at"`
	CompletedAt *string        `json:"completed_at"`
	Output      *checkOutput   `json:"output"`
	Actions     *[]CheckAction `json:"actions"`
}

type checkOutput struct {
	Title       *string           `json:"title"`
	Summary     *string           `json:"summary"`
	Text        *string           `json:"text"`
	Annotations []annotationInput `json:"annotations"`
}

type annotationInput struct {
	Path        *string `json:"path"`
	StartLine   *int    `json:"start_line"`
	EndLine     *int    `json:"end_line"`
	StartColumn *int    `json:"start_column"`
	EndColumn   *int    `json:"end_column"`
	Level       *string `json:"annotation_level"`
	Message     *string `json:"message"`
	Title       string  `json:"title"`
	RawDetails  string  `json:"raw_details"`
}

// check returns what is wrong with the input, nil for nothing.
func (in *checkInput) check() *answer {
	var p problems
	if in.Status != nil {
		p.oneOf("status", *in.Status, statusQueued, statusInProgress, statusCompleted)
	}
	if in.Conclusion != nil {
		p.oneOf("conclusion", *in.Conclusion, conclusions...)
	} else {
		p.missing("conclusion", in.CompletedAt == nil && (in.Status == nil || *in.Status != statusCompleted))
	}
	if in.DetailsURL != nil {
		p.link("details_url", *in.DetailsURL)
	}
	p.moment("started_at", in.StartedAt)
	p.moment("completed_at", in.CompletedAt)
	if in.Output != nil {
		in.Output.check(&p)
	}
	if in.Actions != nil {
		p.items(len(*in.Actions), actionsLimit)
		for _, a := range *in.Actions {
			p.missing("label", a.Label != "")
			p.missing("description", a.Description != "")
			p.missing("identifier", a.Identifier != "")
			p.characters(a.Label, actionLabelLimit)
			p.characters(a.Description, actionTextLimit)
			p.characters(a.Identifier, actionIdentifierLimit)
		}
	}
	if bad := p.answer(); bad != nil {
		return bad
	}
	if in.Output != nil {
		return in.Output.checkLines()
	}
	return nil
}

func (out *checkOutput) check(p *problems) {
	p.missing("title", out.Title != nil)
	p.missing("summary", out.Summary != nil)
	for _, text := range []*string{out.Summary, out.Text} {
		if text != nil {
			p.characters(*text, checkTextLimit)
		}
	}
	p.items(len(out.Annotations), annotationsInRequest)
	for _, a := range out.Annotations {
		p.missing("path", a.Path != nil)
		p.missing("start_line", a.StartLine != nil)
		p.missing("end_line", a.EndLine != nil)
		p.missing("annotation_level", a.Level != nil)
		p.missing("message", a.Message != nil)
		if a.Level != nil {
			p.oneOf("annotation_level", *a.Level, "notice", "warning", "failure")
		}
		p.characters(a.Title, annotationTitleLimit)
	}
}

// checkLines holds the annotations' places and sizes against what the schema cannot say.
func (out *checkOutput) checkLines() *answer {
	refuse := func(field, message string) *answer {
		a := invalidField("CheckAnnotation", field, "invalid", message)
		return &a
	}
	for _, a := range out.Annotations {
		switch {
		case *a.Path == "" || strings.HasPrefix(*a.Path, "/"):
			return refuse("path", "path must be relative to the repository's root")
		case *a.StartLine < 1:
			return refuse("start_line", "start_line must be at least 1")
		case *a.EndLine < *a.StartLine:
			return refuse("end_line", "end_line must not come before start_line")
		case *a.StartLine != *a.EndLine && (a.StartColumn != nil || a.EndColumn != nil):
			return refuse("start_column", "columns are for annotations of one line")
		case *a.Message == "" || len(*a.Message) > annotationMessageLimit:
			return refuse("message", "message must have between 1 byte and 64 KB")
		case len(a.RawDetails) > annotationMessageLimit:
			return refuse("raw_details", "raw_details must have at most 64 KB")
		}
	}
	return nil
}

// apply writes what a request that was checked names into a check run. Call it with mu held.
func (in *checkInput) apply(s *Server, c *checkRun) {
	var p problems // it was looked at before
	set := func(field, value *string) {
		if value != nil {
			*field = *value
		}
	}
	set(&c.name, in.Name)
	set(&c.detailsURL, in.DetailsURL)
	set(&c.externalID, in.ExternalID)
	if in.StartedAt != nil {
		c.startedAt = p.moment("started_at", in.StartedAt)
	}
	switch {
	case in.Conclusion != nil:
		c.status, c.conclusion, c.completedAt = statusCompleted, *in.Conclusion, s.time()
		if in.CompletedAt != nil {
			c.completedAt = p.moment("completed_at", in.CompletedAt)
		}
	case in.Status != nil:
		c.status, c.conclusion, c.completedAt = *in.Status, "", p.moment("", nil)
	}
	if out := in.Output; out != nil {
		set(&c.title, out.Title)
		set(&c.summary, out.Summary)
		set(&c.text, out.Text)
		for _, a := range out.Annotations {
			c.annotations = append(c.annotations, a.annotation())
		}
	}
	if in.Actions != nil {
		c.actions = slices.Clone(*in.Actions)
	}
}

func (a annotationInput) annotation() Annotation {
	out := Annotation{
		Path: *a.Path, StartLine: *a.StartLine, EndLine: *a.EndLine, Level: *a.Level, Message: *a.Message, Title: a.Title, RawDetails: a.RawDetails,
	}
	if a.StartColumn != nil {
		out.StartColumn = *a.StartColumn
	}
	if a.EndColumn != nil {
		out.EndColumn = *a.EndColumn
	}
	return out
}

func (c *call) createCheckRun() answer {
	var in checkInput
	if bad := c.decode(&in, false); bad != nil {
		return *bad
	}
	var p problems
	p.missing("name", in.Name != nil && *in.Name != "")
	p.missing("head_sha", in.HeadSHA != nil)
	if bad := p.answer(); bad != nil {
		return *bad
	}
	if bad := in.check(); bad != nil {
		return *bad
	}
	if len(*in.HeadSHA) != len(noCommit) || c.resolve(*in.HeadSHA) != *in.HeadSHA {
		return invalid("No commit found for SHA: " + *in.HeadSHA)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	run := &checkRun{
		id: c.s.nextID(), app: c.s.app.ID, repo: c.repo, suite: c.s.suite(c.repo, *in.HeadSHA), headSHA: *in.HeadSHA,
		status: statusQueued, startedAt: c.s.time(), detailsURL: c.s.url,
	}
	in.apply(c.s, run)
	c.s.addCheck(run)
	o := c.s.checkObject(run)
	return answer{status: http.StatusCreated, body: o, header: http.Header{"Location": {o["url"].(string)}}}
}

func (c *call) getCheckRun() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if run := c.repo.check(c.number("check")); run != nil {
		return ok(c.s.checkObject(run))
	}
	return notFound()
}

func (c *call) updateCheckRun() answer {
	var in checkInput
	if bad := c.decode(&in, false); bad != nil {
		return *bad
	}
	if in.HeadSHA != nil {
		return *problems{`"head_sha" is not a permitted key.`}.answer()
	}
	if bad := in.check(); bad != nil {
		return *bad
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	run := c.repo.check(c.number("check"))
	if run == nil {
		return notFound()
	}
	before := run.status
	in.apply(c.s, run)
	c.s.checkChanged(run, before)
	return ok(c.s.checkObject(run))
}

func (c *call) listCheckRuns() answer {
	q := c.r.URL.Query()
	filter, ref := q.Get("filter"), c.r.PathValue("ref")
	var p problems
	if filter != "" {
		p.oneOf("filter", filter, "latest", "all")
	}
	if q.Has("status") {
		p.oneOf("status", q.Get("status"), statusQueued, statusInProgress, statusCompleted)
	}
	if bad := p.answer(); bad != nil {
		return *bad
	}
	sha := c.resolve(ref)
	if sha == "" {
		return invalid("No commit found for SHA: " + ref)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	runs := c.repo.checks
	if filter != "all" {
		runs = c.repo.latestChecks(sha)
	}
	items := []object{}
	for _, run := range slices.Backward(runs) {
		if run.headSHA == sha && (!q.Has("check_name") || q.Get("check_name") == run.name) && (!q.Has("status") || q.Get("status") == run.status) &&
			(!q.Has("app_id") || q.Get("app_id") == strconv.FormatInt(run.app, 10)) {
			items = append(items, c.s.checkObject(run))
		}
	}
	from, to, header := c.window(len(items))
	return answer{status: http.StatusOK, body: object{"total_count": len(items), "check_runs": items[from:to]}, header: header}
}

func (c *call) listAnnotations() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	run := c.repo.check(c.number("check"))
	if run == nil {
		return notFound()
	}
	columnOrNull := func(n int) any {
		if n == 0 {
			return nil
		}
		return n
	}
	items := make([]object, 0, len(run.annotations))
	for _, a := range run.annotations {
		items = append(items, object{
			"path": a.Path, "start_line": a.StartLine, "end_line": a.EndLine, "start_column": columnOrNull(a.StartColumn),
			"end_column": columnOrNull(a.EndColumn), "annotation_level": a.Level, "title": textOrNull(a.Title), "message": a.Message,
			"raw_details": textOrNull(a.RawDetails), "blob_href": c.s.webURL(c.repo.fullName(), "blob", run.headSHA, a.Path),
		})
	}
	return c.paginate(items)
}

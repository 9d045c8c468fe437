package githubsim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	statusQueued     = "queued"
	statusInProgress = "in_progress"
	statusCompleted  = "completed"
)

// conclusions are those that an App may give, the worst first.
var conclusions = []string{"failure", "timed_out", "action_required", "cancelled", "success", "neutral", "skipped"}

// A CheckRun is what an App says about a commit.
type CheckRun struct {
	ID                     int64
	HeadSHA                string
	Name                   string
	Status                 string // "queued", "in_progress", "completed"
	Conclusion             string // of a completed one: "success", "failure", "neutral", "action_required", "cancelled" and others
	Title, Summary, Text   string // the last two are Markdown
	DetailsURL             string
	ExternalID             string // the App's own name for it
	Annotations            []Annotation
	Actions                []CheckAction
	StartedAt, CompletedAt time.Time
}

// An Annotation is a remark about lines of a file.
type Annotation struct {
	Path        string
	StartLine   int
	EndLine     int
	StartColumn int // 0: the whole line
	EndColumn   int
	Level       string // "notice", "warning", "failure"
	Message     string
	Title       string
	RawDetails  string
}

// A CheckAction is a button that people with write access see beside a check run.
type CheckAction struct {
	Label       string `json:"label"`
	Description string `json:"description"`
	Identifier  string `json:"identifier"`
}

// checkRun is guarded by Server.mu, but for its id, app, suite and head, which never change.
type checkRun struct {
	id      int64
	app     int64
	repo    *repository
	suite   *checkSuite
	headSHA string

	name, status, conclusion string
	detailsURL, externalID   string
	title, summary, text     string
	annotations              []Annotation
	actions                  []CheckAction
	startedAt, completedAt   time.Time
}

// A checkSuite holds an App's check runs on a commit; it is as far as they are.
type checkSuite struct {
	id        int64
	app       int64
	headSHA   string
	createdAt time.Time
	updatedAt time.Time
}

// CheckRuns returns what the page of a commit shows: of each name the newest check run, in the order in which they were made.
func (s *Server) CheckRuns(fullName, sha string) []CheckRun {
	r, err := s.repository(fullName)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var runs []CheckRun
	for _, c := range r.latestChecks(sha) {
		runs = append(runs, c.export())
	}
	return runs
}

// RerequestCheckRun presses "Re-run" beside a check run. The run stays as it is: what follows from it is the App's affair, as on GitHub. People
// without write access do not see the button.
func (s *Server) RerequestCheckRun(fullName string, id int64, login string) error {
	return s.pressCheck(fullName, id, login, func(c *checkRun, by *user) error {
		s.emitCheck(c, by, "rerequested", nil)
		return nil
	})
}

// RequestAction presses one of the buttons that the App gave a check run, for people with write access.
func (s *Server) RequestAction(fullName string, id int64, identifier, login string) error {
	return s.pressCheck(fullName, id, login, func(c *checkRun, by *user) error {
		if !slices.ContainsFunc(c.actions, func(a CheckAction) bool { return a.Identifier == identifier }) {
			return fmt.Errorf("it has no action %q", identifier)
		}
		s.emitCheck(c, by, "requested_action", object{"requested_action": object{"identifier": identifier}})
		return nil
	})
}

func (s *Server) pressCheck(fullName string, id int64, login string, press func(*checkRun, *user) error) error {
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
	c := r.check(id)
	if c == nil {
		return fmt.Errorf("there is no check run %d in %s", id, fullName)
	}
	if !r.mayPush(by.login) {
		return fmt.Errorf("%s may not write to %s", login, fullName)
	}
	if err := press(c, by); err != nil {
		return fmt.Errorf("press a button of check run %d of %s: %w", id, fullName, err)
	}
	return nil
}

func (c *checkRun) export() CheckRun {
	return CheckRun{
		ID: c.id, HeadSHA: c.headSHA, Name: c.name, Status: c.status, Conclusion: c.conclusion, Title: c.title, Summary: c.summary, Text: c.text,
		DetailsURL: c.detailsURL, ExternalID: c.externalID, Annotations: slices.Clone(c.annotations), Actions: slices.Clone(c.actions),
		StartedAt: c.startedAt, CompletedAt: c.completedAt,
	}
}

// check returns a check run by its number, nil for none. Call it with mu held, as the rest of this file.
func (r *repository) check(id int64) *checkRun {
	for _, c := range r.checks {
		if c.id == id {
			return c
		}
	}
	return nil
}

// latestChecks returns the check runs of a commit that no later one of the same name and App hides, oldest first.
func (r *repository) latestChecks(sha string) []*checkRun {
	var latest []*checkRun
	for _, c := range r.checks {
		if c.headSHA != sha {
			continue
		}
		latest = slices.DeleteFunc(latest, func(old *checkRun) bool { return old.name == c.name && old.app == c.app })
		latest = append(latest, c)
	}
	return latest
}

// suite returns the App's check suite for a commit, which is made at the first check run.
func (s *Server) suite(r *repository, sha string) *checkSuite {
	for _, c := range r.checks {
		if c.headSHA == sha && c.app == s.app.ID {
			return c.suite
		}
	}
	now := s.time()
	return &checkSuite{id: s.nextID(), app: s.app.ID, headSHA: sha, createdAt: now, updatedAt: now}
}

// addCheck records a check run and tells of it.
func (s *Server) addCheck(c *checkRun) {
	c.repo.checks = append(c.repo.checks, c)
	s.emitCheck(c, s.bot(), "created", nil)
	s.checkChanged(c, "")
}

// checkChanged tells where a check run has come to its end; before is the status that it had.
func (s *Server) checkChanged(c *checkRun, before string) {
	c.suite.updatedAt = s.time()
	if c.status == statusCompleted && before != statusCompleted {
		s.emitCheck(c, s.bot(), "completed", nil)
	}
}

func (s *Server) emitCheck(c *checkRun, sender *user, action string, more object) {
	run := s.checkObject(c)
	run["check_suite"] = s.suiteObject(c)
	payload := object{"check_run": run}
	for name, value := range more {
		payload[name] = value
	}
	s.emit(c.repo, sender, "check_run", action, payload)
}

func (s *Server) checkObject(c *checkRun) object {
	api := s.apiURL("repos", c.repo.fullName(), "check-runs", fmt.Sprint(c.id))
	return object{
		"id": c.id, "node_id": nodeID("CheckRun", c.id), "head_sha": c.headSHA, "external_id": c.externalID, "url": api,
		"html_url": s.webURL(c.repo.fullName(), "runs", fmt.Sprint(c.id)), "details_url": textOrNull(c.detailsURL),
		"status": c.status, "conclusion": textOrNull(c.conclusion), "started_at": stampOrNull(c.startedAt), "completed_at": stampOrNull(c.completedAt),
		"name": c.name, "check_suite": object{"id": c.suite.id}, "app": s.appObject(), "pull_requests": s.pullsOf(c.repo, c.headSHA),
		"output": object{
			"title": textOrNull(c.title), "summary": textOrNull(c.summary), "text": textOrNull(c.text),
			"annotations_count": len(c.annotations), "annotations_url": api + "/annotations",
		},
	}
}

// suiteObject describes the suite of a check run as webhooks do.
func (s *Server) suiteObject(c *checkRun) object {
	status, conclusion := statusCompleted, ""
	for _, other := range c.repo.latestChecks(c.headSHA) {
		switch {
		case other.suite != c.suite:
		case other.status != statusCompleted:
			status = other.status
		case conclusion == "" || slices.Index(conclusions, other.conclusion) < slices.Index(conclusions, conclusion):
			conclusion = other.conclusion
		}
	}
	if status != statusCompleted {
		conclusion = ""
	}
	branch := ""
	for ref, sha := range c.repo.refs {
		if name, isBranch := strings.CutPrefix(ref, branchPrefix); isBranch && sha == c.headSHA && (branch == "" || name < branch) {
			branch = name
		}
	}
	id := fmt.Sprint(c.suite.id)
	return object{
		"id": c.suite.id, "node_id": nodeID("CheckSuite", c.suite.id), "head_branch": textOrNull(branch), "head_sha": c.headSHA, "status": status,
		"conclusion": textOrNull(conclusion), "url": s.apiURL("repos", c.repo.fullName(), "check-suites", id), "before": nil, "after": c.headSHA,
		"pull_requests": s.pullsOf(c.repo, c.headSHA), "app": s.appObject(), "created_at": stamp(c.suite.createdAt), "updated_at": stamp(c.suite.updatedAt),
	}
}

// pullsOf returns the open pull requests whose head a commit is, in short. GitHub does not look into forks for them.
func (s *Server) pullsOf(r *repository, sha string) []object {
	end := func(repo *repository, ref, sha string) object {
		return object{"ref": ref, "sha": sha, "repo": object{"id": repo.id, "url": s.apiURL("repos", repo.fullName()), "name": repo.name()}}
	}
	pulls := []object{}
	for _, p := range r.pulls {
		if p.open && p.head == r && p.headSHA == sha {
			pulls = append(pulls, object{
				"id": p.id, "number": p.number, "url": s.apiURL("repos", r.fullName(), "pulls", fmt.Sprint(p.number)),
				"head": end(p.head, p.headRef, p.headSHA), "base": end(p.base, p.baseRef, p.baseSHA),
			})
		}
	}
	return pulls
}

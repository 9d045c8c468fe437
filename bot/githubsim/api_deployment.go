package githubsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

type deploymentInput struct {
	Ref              *string         `json:"ref"`
	Task             *string         `json:"task"`
	AutoMerge        *bool           `json:"auto_merge"`
	RequiredContexts *[]string       `json:"required_contexts"`
	Payload          json.RawMessage `json:"payload"`
	Environment      *string         `json:"environment"`
	Description      string          `json:"description"`
	Transient        bool            `json:"transient_environment"`
	Production       *bool           `json:"production_environment"`
}

// payload returns an object or a text, which is what a deployment may carry; ok is false for anything else.
func (in *deploymentInput) payload() (value any, ok bool) {
	if in.Payload == nil {
		return object{}, true
	}
	if err := json.Unmarshal(in.Payload, &value); err != nil {
		return nil, false
	}
	switch value.(type) {
	case string, object:
		return value, true
	}
	return nil, false
}

func (c *call) createDeployment() answer {
	var in deploymentInput
	if bad := c.decode(&in, false); bad != nil {
		return *bad
	}
	payload, hasPayload := in.payload()
	var p problems
	p.missing("ref", in.Ref != nil && *in.Ref != "")
	if !hasPayload {
		p = append(p, "For 'properties/payload', it is neither an object nor a string.")
	}
	if bad := p.answer(); bad != nil {
		return *bad
	}
	sha := c.resolve(*in.Ref)
	if sha == "" {
		return invalid("No ref found for: " + *in.Ref)
	}
	if in.AutoMerge == nil || *in.AutoMerge {
		if done := c.autoMerge(*in.Ref, sha); done != nil {
			return *done
		}
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if bad := c.requireContexts(*in.Ref, sha, in.RequiredContexts); bad != nil {
		return *bad
	}
	now := c.s.time()
	d := &deployment{
		GitHubDeployment: GitHubDeployment{
			ID: c.s.nextID(), SHA: sha, Ref: *in.Ref, Task: textOr(in.Task, "deploy"), Environment: textOr(in.Environment, "production"),
			Description: in.Description, Transient: in.Transient, CreatedAt: now,
		},
		repo: c.repo, creator: c.s.bot(), payload: payload, updatedAt: now,
	}
	d.original, d.Production = d.Environment, d.Environment == "production"
	if in.Production != nil {
		d.Production = *in.Production
	}
	c.s.addDeployment(d)
	o := c.s.deploymentObject(d)
	return answer{status: http.StatusCreated, body: o, header: http.Header{"Location": {o["url"].(string)}}}
}

func textOr(value *string, otherwise string) string {
	if value == nil || *value == "" {
		return otherwise
	}
	return *value
}

// autoMerge merges the default branch into a ref that is behind it, as GitHub does unless it is told not to. It returns nil where the ref is
// not behind, and a deployment may follow.
func (c *call) autoMerge(ref, sha string) *answer {
	base := c.s.commitOf(c.repo, "heads/"+defaultBranch)
	if base == "" || c.s.git.isAncestor(c.r.Context(), c.repo.dir, base, sha) {
		return nil
	}
	conflict := fail(http.StatusConflict, fmt.Sprintf("Conflict merging %s into %s.", defaultBranch, ref))
	branch := strings.TrimPrefix(ref, "heads/")
	if c.ref(branchPrefix+branch) == "" {
		return &conflict // nothing can be merged into a tag or a commit
	}
	c.s.mu.Lock()
	by := c.s.bot()
	c.s.mu.Unlock()
	merged := false
	err := c.s.receive(c.r.Context(), c.repo, by, func() error {
		into, from := c.s.commitOf(c.repo, "heads/"+branch), c.s.commitOf(c.repo, "heads/"+defaultBranch)
		var err error
		merged, err = c.s.git.merge(c.r.Context(), c.repo.dir, branch, into, from, c.s.signature(by), fmt.Sprintf("Merge branch '%s' into %s", defaultBranch, branch))
		return err
	})
	switch {
	case err != nil:
		failed := c.s.failure(err)
		return &failed
	case !merged:
		return &conflict
	}
	return &answer{status: http.StatusAccepted, body: object{"message": fmt.Sprintf("Auto-merged %s into %s on deployment.", defaultBranch, ref)}}
}

// requireContexts returns an answer where a check run that is wanted has not succeeded: one of those named, or of all that there are. Call it
// with mu held.
func (c *call) requireContexts(ref, sha string, wanted *[]string) *answer {
	states := map[string]string{}
	var all []string
	for _, run := range c.repo.latestChecks(sha) {
		states[run.name] = statePending
		if run.status == statusCompleted {
			states[run.name] = run.conclusion
		}
		all = append(all, run.name)
	}
	if wanted != nil {
		all = *wanted
	}
	contexts, failed := []object{}, false
	for _, name := range all {
		state := states[name]
		if state == "" {
			state = statePending
		}
		failed = failed || state != stateSuccess
		contexts = append(contexts, object{"context": name, "state": state})
	}
	if !failed {
		return nil
	}
	a := fail(http.StatusConflict, fmt.Sprintf("Conflict: Commit status checks failed for %s.", ref))
	a.body.(object)["errors"] = []object{{"contexts": contexts, "resource": "Deployment", "field": "required_contexts", "code": "invalid"}}
	return &a
}

func (c *call) listDeployments() answer {
	q := c.r.URL.Query()
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	items := []object{}
	for _, d := range slices.Backward(c.repo.deployments) {
		fits := true
		for name, value := range map[string]string{"sha": d.SHA, "ref": d.Ref, "task": d.Task, "environment": d.Environment} {
			fits = fits && (q.Get(name) == "" || q.Get(name) == value)
		}
		if fits {
			items = append(items, c.s.deploymentObject(d))
		}
	}
	return c.paginate(items)
}

func (c *call) getDeployment() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if d := c.repo.deployment(c.number("deployment")); d != nil {
		return ok(c.s.deploymentObject(d))
	}
	return notFound()
}

func (c *call) deleteDeployment() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	d := c.repo.deployment(c.number("deployment"))
	if d == nil {
		return notFound()
	}
	if !d.mayDelete() {
		return invalid("We cannot delete an active deployment unless it is the only deployment in a given environment.")
	}
	c.repo.deployments = slices.DeleteFunc(c.repo.deployments, func(other *deployment) bool { return other == d })
	return answer{status: http.StatusNoContent}
}

type statusInput struct {
	State          *string `json:"state"`
	TargetURL      string  `json:"target_url"`
	LogURL         string  `json:"log_url"`
	Description    string  `json:"description"`
	Environment    *string `json:"environment"`
	EnvironmentURL string  `json:"environment_url"`
	AutoInactive   *bool   `json:"auto_inactive"`
}

func (in *statusInput) check() *answer {
	var p problems
	if p.missing("state", in.State != nil); in.State != nil {
		p.oneOf("state", *in.State, deploymentStates...)
	}
	if bad := p.answer(); bad != nil {
		return bad
	}
	custom := func(field, message string) *answer {
		a := invalidField("DeploymentStatus", field, "custom", field+" "+message)
		return &a
	}
	var description problems
	if description.characters(in.Description, statusTextLimit); description != nil {
		return custom("description", fmt.Sprintf("is too long (maximum is %d characters)", statusTextLimit))
	}
	for field, address := range map[string]string{"target_url": in.TargetURL, "log_url": in.LogURL, "environment_url": in.EnvironmentURL} {
		var link problems
		if address == "" {
			continue
		}
		if link.link(field, address); link != nil {
			return custom(field, "must use http(s) scheme")
		}
	}
	return nil
}

func (c *call) createStatus() answer {
	var in statusInput
	if bad := c.decode(&in, false); bad != nil {
		return *bad
	}
	if bad := in.check(); bad != nil {
		return *bad
	}
	if in.LogURL == "" {
		in.LogURL = in.TargetURL
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	d := c.repo.deployment(c.number("deployment"))
	if d == nil {
		return notFound()
	}
	status := c.s.addStatus(d, DeploymentStatus{
		State: *in.State, Description: in.Description, Environment: textOr(in.Environment, d.Environment), EnvironmentURL: in.EnvironmentURL, LogURL: in.LogURL,
	}, in.AutoInactive == nil || *in.AutoInactive)
	o := c.s.statusObject(d, status)
	return answer{status: http.StatusCreated, body: o, header: http.Header{"Location": {o["url"].(string)}}}
}

func (c *call) listStatuses() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	d := c.repo.deployment(c.number("deployment"))
	if d == nil {
		return notFound()
	}
	items := []object{}
	for _, status := range slices.Backward(d.Statuses) {
		items = append(items, c.s.statusObject(d, status))
	}
	return c.paginate(items)
}

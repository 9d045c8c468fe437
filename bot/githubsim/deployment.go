package githubsim

import (
	"fmt"
	"slices"
	"time"
)

// statusTextLimit is the number of characters that GitHub takes for the description of a deployment's status.
const statusTextLimit = 140

// The states of a deployment that something hangs on.
const (
	stateSuccess  = "success"
	stateInactive = "inactive"
	statePending  = "pending"
)

// deploymentStates are all of them.
var deploymentStates = []string{"error", "failure", stateInactive, "in_progress", "queued", statePending, stateSuccess}

// A GitHubDeployment is what an App told GitHub about a commit that it brings to an environment.
type GitHubDeployment struct {
	ID                    int64
	SHA, Ref              string
	Task                  string // "deploy"
	Environment           string // "preview"
	Description           string
	Transient, Production bool
	CreatedAt             time.Time
	Statuses              []DeploymentStatus // oldest first
}

// State returns the state of the newest status, "pending" where there is none.
func (d GitHubDeployment) State() string {
	if len(d.Statuses) == 0 {
		return statePending
	}
	return d.Statuses[len(d.Statuses)-1].State
}

// A DeploymentStatus says how far a deployment is.
type DeploymentStatus struct {
	ID             int64
	State          string // "queued", "in_progress", "success", "failure", "error", "inactive", "pending"
	Description    string
	Environment    string
	EnvironmentURL string
	LogURL         string
	CreatedAt      time.Time
}

// deployment is guarded by Server.mu; what GitHubDeployment holds but for the environment and the statuses never changes.
type deployment struct {
	GitHubDeployment
	repo      *repository
	creator   *user
	payload   any
	original  string // the environment at first
	updatedAt time.Time
}

// GitHubDeployments returns the deployments of a repository, oldest first.
func (s *Server) GitHubDeployments(fullName string) []GitHubDeployment {
	r, err := s.repository(fullName)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]GitHubDeployment, 0, len(r.deployments))
	for _, d := range r.deployments {
		all = append(all, d.export())
	}
	return all
}

func (d *deployment) export() GitHubDeployment {
	out := d.GitHubDeployment
	out.Statuses = slices.Clone(d.Statuses)
	return out
}

// deployment returns one by its number, nil for none. Call it with mu held, as the rest of this file.
func (r *repository) deployment(id int64) *deployment {
	for _, d := range r.deployments {
		if d.ID == id {
			return d
		}
	}
	return nil
}

func (s *Server) addDeployment(d *deployment) {
	d.repo.deployments = append(d.repo.deployments, d)
	s.emit(d.repo, d.creator, "deployment", "created", object{"deployment": s.deploymentObject(d)})
}

// addStatus records how far a deployment is. A success ends the earlier ones of its environment, where that is wanted, but for transient ones and
// those in production (docs.github.com, "Inactive deployments").
func (s *Server) addStatus(d *deployment, status DeploymentStatus, autoInactive bool) DeploymentStatus {
	status = s.appendStatus(d, status)
	if status.State != stateSuccess || !autoInactive {
		return status
	}
	for _, earlier := range d.repo.deployments {
		if earlier.ID < d.ID && earlier.Environment == d.Environment && !earlier.Transient && !earlier.Production && earlier.State() == stateSuccess {
			s.appendStatus(earlier, DeploymentStatus{State: stateInactive, Environment: earlier.Environment})
		}
	}
	return status
}

func (s *Server) appendStatus(d *deployment, status DeploymentStatus) DeploymentStatus {
	status.ID, status.CreatedAt = s.nextID(), s.time()
	d.Statuses, d.Environment, d.updatedAt = append(d.Statuses, status), status.Environment, status.CreatedAt
	s.emit(d.repo, d.creator, "deployment_status", "created", object{
		"deployment_status": s.statusObject(d, status), "deployment": s.deploymentObject(d), "check_run": nil, "workflow": nil, "workflow_run": nil,
	})
	return status
}

// mayDelete reports whether GitHub lets a deployment be deleted: one that some status but success has ended, or the only one. One without any
// status counts as active, where GitHub's description leaves that open.
func (d *deployment) mayDelete() bool {
	return len(d.repo.deployments) == 1 || len(d.Statuses) > 0 && d.State() != stateSuccess
}

func (s *Server) deploymentObject(d *deployment) object {
	repo := s.apiURL("repos", d.repo.fullName())
	api := repo + "/deployments/" + fmt.Sprint(d.ID)
	return object{
		"url": api, "id": d.ID, "node_id": nodeID("Deployment", d.ID), "sha": d.SHA, "ref": d.Ref, "task": d.Task, "payload": d.payload,
		"original_environment": d.original, "environment": d.Environment, "description": textOrNull(d.Description), "creator": s.userObject(d.creator),
		"created_at": stamp(d.CreatedAt), "updated_at": stamp(d.updatedAt), "statuses_url": api + "/statuses", "repository_url": repo,
		"transient_environment": d.Transient, "production_environment": d.Production, "performed_via_github_app": s.appObject(),
	}
}

func (s *Server) statusObject(d *deployment, status DeploymentStatus) object {
	repo := s.apiURL("repos", d.repo.fullName())
	api := repo + "/deployments/" + fmt.Sprint(d.ID)
	return object{
		"url": api + "/statuses/" + fmt.Sprint(status.ID), "id": status.ID, "node_id": nodeID("DeploymentStatus", status.ID), "state": status.State,
		"creator": s.userObject(d.creator), "description": status.Description, "environment": status.Environment, "target_url": status.LogURL,
		"log_url": status.LogURL, "environment_url": status.EnvironmentURL, "created_at": stamp(status.CreatedAt), "updated_at": stamp(status.CreatedAt),
		"deployment_url": api, "repository_url": repo, "performed_via_github_app": s.appObject(),
	}
}

package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// A keyedJob is a job that is to run, with what identifies it over deployments.
type keyedJob struct {
	Job
	key string
}

// jobsOf returns the jobs of the service that are to run, in their order.
func (in PlanInput) jobsOf(service string) []keyedJob {
	var jobs []keyedJob
	for _, j := range in.Stack.Jobs {
		if j.Service != service {
			continue
		}
		key := j.key()
		if j.First && slices.Contains(in.Ran, key) {
			continue
		}
		jobs = append(jobs, keyedJob{j, key})
	}
	return jobs
}

// key identifies the job by its service and what it runs.
func (j Job) key() string {
	// Strings always have a JSON encoding.
	b, _ := json.Marshal(append([]string{j.Service}, j.Run...))
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// addJobs adds a container for each of the jobs of a service, made like the service's own: the first one waits for what the service depends on, each
// other for the one before. They have the service's address, as all of them have ended before the service starts, and no name in the network.
func (in PlanInput) addJobs(p *Plan, of Container, jobs []keyedJob) error {
	for i, j := range jobs {
		c := of
		c.Job, c.JobKey, c.First, c.State = i+1, j.key, j.First, false
		c.Port, c.Public, c.URL, c.PostStart = 0, false, "", nil
		c.Check = Check{Kind: CheckExit, Timeout: exitTimeout}
		c.Entrypoint, c.Command, c.Aliases = j.Run[:1:1], nil, []string{}
		if len(j.Run) > 1 {
			c.Command = j.Run[1:]
		}
		c.Health = &Health{Test: []string{"NONE"}}
		if i > 0 {
			c.DependsOn = []Dependency{{Service: of.Service, Condition: Completed, Job: i}}
		}
		if err := in.identify(&c); err != nil {
			return err
		}
		p.Containers = append(p.Containers, c)
	}
	return nil
}

// after returns what the service's container depends on: as before, and on the last of its jobs.
func after(c Container, jobs []keyedJob) []Dependency {
	if len(jobs) == 0 {
		return c.DependsOn
	}
	return append(slices.Clone(c.DependsOn), Dependency{Service: c.Service, Condition: Completed, Job: len(jobs)})
}

// checkJobs holds the stack's jobs against its services.
func checkJobs(jobs []Job, names map[string]bool) error {
	if len(jobs) > maxJobs {
		return &StackError{Reason: fmt.Sprintf("the stack has %d init jobs; a preview may have %d", len(jobs), maxJobs)}
	}
	for _, j := range jobs {
		switch {
		case !names[j.Service]:
			return &StackError{Reason: fmt.Sprintf("an init job is for %q, which is no service of this stack", j.Service)}
		case len(j.Run) == 0:
			return &StackError{Service: j.Service, Reason: "its init job has nothing to run"}
		}
	}
	return nil
}

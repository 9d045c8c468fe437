package deployments

// A PlanRequest is what a Runtime decides from.
type PlanRequest struct {
	Environment Environment
	Deployment  Deployment
	Stack       Stack
	Live        *Deployment // what is served and has the same state; nil for none
}

// A Start is what a Runtime carries out, and whom it tells. Its functions may be called side by side.
type Start struct {
	Plan Plan
	// Dir is the checkout, absolute, whose files are copied into containers. It has to be there until Up has returned.
	Dir string
	// Progress is told what a service is doing, in words for people. It may be nil.
	Progress func(service, status string)
	// Job is told of each init job when it begins and when it has succeeded. An error of it ends the start. It may be nil.
	Job func(JobRun) error
}

// A JobRun is an init job that begins, or has succeeded.
type JobRun struct {
	Key   string // identifies the job over deployments
	First bool   // it runs once for each state
	Done  bool   // it has succeeded
}

// An Inventory is what something outside carries the labels of, in order.
type Inventory struct {
	Deployments []int64
	States      []int64 // see [Deployment.State]
}

package deployments

import (
	"encoding/json"
	"net/netip"
	"time"
)

// A Deployment is one attempt to bring one generation of an environment up. Bringing one down is none.
type Deployment struct {
	ID          int64
	Environment int64
	Generation  int64
	Source      Source
	// State is the number of what the environment keeps from one deployment to the next: its volumes, and the services that write to them. It is the ID of
	// the deployment that began it; a reset begins another one. It goes once no deployment has it any more.
	State int64
	// Ran are the keys of the init jobs that run once for each state and that this one has behind it.
	Ran []string
	// Unconfirmed says that the forge had not said whether Source is the head. It is not stored.
	Unconfirmed bool
	Phase       Phase
	Reason      string // why it ended as it did, in a plain sentence
	Fault       *Fault // set when Phase is Failed
	Subnet      netip.Prefix
	Images      []Image
	Plan        Plan
	Secrets     []string // values in the Plan that nobody is to be shown; see Mask
	Services    []ServiceState
	Backends    []Backend // where its public services answer, known once it is live
	Condition   Condition // how it fares, where it is live
	Timings     []Timing
	CreatedAt   time.Time
	EndedAt     time.Time // zero while it runs
	LiveAt      time.Time // when its route opened; zero if it never did
	PushedAt    time.Time // when its images were safe in the registry; zero until then
	RemoveAt    time.Time // when Phase is Removing: not before this
}

// Phase is how far a Deployment is.
type Phase string

// The phases, in their order. Ready, Failed, Superseded and Cancelled end the attempt; a ready one goes on to Removing and Gone.
const (
	Queued     Phase = "queued"
	Fetching   Phase = "fetching"
	Building   Phase = "building"
	Starting   Phase = "starting"
	Ready      Phase = "ready"
	Failed     Phase = "failed"
	Superseded Phase = "superseded"
	Cancelled  Phase = "cancelled"
	Removing   Phase = "removing"
	PhaseGone  Phase = "gone"
)

// Running reports whether an attempt in this phase still works towards being ready.
func (p Phase) Running() bool {
	return p == Queued || p == Fetching || p == Building || p == Starting
}

// A Timing is how long one phase of an attempt took.
type Timing struct {
	Phase Phase         `json:"phase"`
	Took  time.Duration `json:"took"` // nanoseconds
}

// An Image is one that a Deployment owns.
type Image struct {
	Service string `json:"service"`
	ID      string `json:"id"` // the engine's image ID, "sha256:<64 hex>": the identity
	// References are the tags it has, without the registry's host: "shop/web:id-<64 hex>" and "shop/web:<environment>.<sha12>".
	References []string `json:"references"`
	Digest     string   `json:"digest,omitempty"` // of the manifest, known after the push
	Cached     bool     `json:"cached,omitempty"` // nothing had to be built
}

// A Plan is what a Runtime carries out, in the Runtime's own encoding (package deploy's Plan).
type Plan struct {
	JSON json.RawMessage
	// Replaces are the services that are replaced in place, so that nothing answers there for a while. Only [Runtime.Plan] says so; it is not stored.
	Replaces []string
}

// A Stack is what a checkout asks for, in the encoding that StackReader and Runtime share (package deploy's Stack), and what the
// Controller needs to know of it.
type Stack struct {
	JSON   json.RawMessage
	Builds []Build
	Public []PublicService // the first one has the plain host
	Notes  []string        // what was tolerated and left out, a sentence each
}

// A Build is one image to be built from a checkout.
type Build struct {
	Service    string
	Context    string            // a folder inside the checkout, relative, "." for its root
	Contexts   map[string]string `json:",omitempty"` // further folders inside the checkout, by the names that COPY --from and FROM have for them
	Dockerfile string            // a file inside the context, relative to it
	Inline     string            // the Dockerfile's text, where the compose file has it; then Dockerfile is empty
	Target     string            // a stage; empty for the last
	Args       map[string]string // build arguments
	// Secrets are what RUN --mount=type=secret may read, by the IDs that the Dockerfile names them by. Nobody is shown them, and the builds of a fork's code
	// get none.
	Secrets map[string][]byte `json:",omitempty"`
	// Static says that there is no Dockerfile: Context is a folder that is served as it is, at StaticPort.
	Static bool `json:",omitempty"`
}

// StaticPort is where a container answers HTTP that serves a folder as it is.
const StaticPort = 8080

// A PublicService is one that gets a host.
type PublicService struct {
	Name string
	Port int // in the container
	// Host is what its host begins with in place of its name; empty for its name. It is empty for the one that has the plain host.
	Host string `json:",omitempty"`
}

// A ServiceState is what one service of a Deployment is doing.
type ServiceState struct {
	Name   string `json:"name"`
	Status string `json:"status"`           // in words, for people: "building, step 6 of 11", "starting", "healthy"
	Host   string `json:"host,omitempty"`   // the label of a public service's host
	Answer int    `json:"answer,omitempty"` // the HTTP status of the first GET / after it became healthy; 0 where there was none
	// Lines are the last ones that the service printed, where Answer is 500 or above.
	Lines []string `json:"lines,omitempty"`
}

// A Backend is where a public service of a Deployment answers.
type Backend struct {
	Service string `json:"service"`
	URL     string `json:"url"`    // "http://10.213.0.3:8080"
	Answer  int    `json:"answer"` // the HTTP status of the first GET /
	// Lines are the last ones that the service printed, where Answer is 500 or above.
	Lines []string `json:"-"`
}

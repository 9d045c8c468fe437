package deployments

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"time"
)

// ErrSuperseded is returned by the Store's writes of an attempt whose generation is no longer the environment's, or that has ended.
var ErrSuperseded = errors.New("superseded by a newer generation")

// ErrNotFound is returned where a record that was asked for is not there.
var ErrNotFound = errors.New("not found")

// A Store keeps the truth. Each method is one transaction, and each is safe to call side by side. After a method returned without an error,
// what it wrote outlives a killed process.
type Store interface {
	Inbox
	Environments
	Attempts
	Outbox
	Vault
}

// Inbox takes in what is wanted.
type Inbox interface {
	// Accept claims the delivery's GUID, applies its wants (see Apply) and stores its requests. It returns the environments whose generation
	// grew. A GUID that was claimed before changes nothing and is no error.
	Accept(ctx context.Context, d Delivery) (raised []Environment, err error)
	// Requests returns the first of those that are to be resolved or answered at the time now, at most limit: at most one for each Origin is pending, the
	// oldest.
	Requests(ctx context.Context, now time.Time, limit int) ([]Request, error)
	// Resolve writes what became of a request and applies its wants, as Accept does.
	Resolve(ctx context.Context, id int64, r Resolution) (raised []Environment, err error)
	// Answered records that the forge was told of the request's state.
	Answered(ctx context.Context, id int64, s RequestState) error
	// PostponeRequest counts a failure and leaves the request alone until the time given.
	PostponeRequest(ctx context.Context, id int64, until time.Time) error
}

// Environments reads environments and what surrounds them.
type Environments interface {
	Environment(ctx context.Context, id int64) (Environment, error)
	// EnvironmentOf returns the one of an Origin.Key, or ErrNotFound.
	EnvironmentOf(ctx context.Context, origin string) (Environment, error)
	// EnvironmentNamed returns the one of a name, or ErrNotFound.
	EnvironmentNamed(ctx context.Context, name string) (Environment, error)
	// Due returns the environments that are due at the time now, the longest waiting first, at most limit, and when the first of those is due that are
	// held back; the zero time for none.
	Due(ctx context.Context, now time.Time, limit int) (due []Environment, next time.Time, err error)
	// Unsettled returns every environment whose generation is above the one observed, due or not, the longest waiting first.
	Unsettled(ctx context.Context) ([]Environment, error)
	// EnvironmentsOf returns every environment of a repository, by the repository's name.
	EnvironmentsOf(ctx context.Context, repo string) ([]Environment, error)
	// Expired returns the environments that are up, not pinned, and whose expiry is before now.
	Expired(ctx context.Context, now time.Time) ([]Environment, error)
	// HostState says what is known of a host's label ("shop-pr-42").
	HostState(ctx context.Context, label string) (HostState, error)
	// Routes returns the record of every host that ever had one, the Removed ones too.
	Routes(ctx context.Context) ([]Route, error)
	// Events returns an origin's history, oldest first.
	Events(ctx context.Context, origin string) ([]Event, error)
}

// Attempts records what the Controller does. The writes that take a Deployment are refused with ErrSuperseded when its generation is not the
// environment's any more, or when it has ended. The Store writes the times of a Deployment.
type Attempts interface {
	// Retime gives the environment a time to live of its own, 0 for the server's, and moves its expiry by the difference. What is above the server's
	// ceiling is cut to it, and an Event says so when it becomes so.
	Retime(ctx context.Context, environment int64, ttl time.Duration) error
	// Warn has each environment reported whose end is at most WarningTime away, once for each end, and returns how many these are.
	Warn(ctx context.Context, now time.Time) (int64, error)
	// Claim begins an attempt at the environment's present generation: a Deployment in phase Queued with a subnet of its own, a /27 of the pool
	// that neither another deployment has nor anything of occupied overlaps.
	Claim(ctx context.Context, environment int64, pool netip.Prefix, occupied []netip.Prefix) (Deployment, error)
	// Hold ends an attempt whose commit, of a fork, waits for approval: the generation is observed, and what is live stays so. Requests that waited for the
	// generation have failed.
	Hold(ctx context.Context, d Deployment) error
	// Adopt writes what the forge says of the environment now: source, title.
	Adopt(ctx context.Context, d Deployment, head Head) error
	// Save writes the deployment's phase, source, images, plan, services and timings.
	Save(ctx context.Context, d Deployment) error
	// Reserve gives each public service its host's label for good, in the order given (the first has the environment's name). One that has another
	// PublicService.Host than before has another label; the old one stays reserved. It is not fenced: the Controller joins an attempt before the next
	// begins.
	Reserve(ctx context.Context, environment int64, services []PublicService) ([]string, error)
	// Lobby points the environment's hosts that have no live backend at the lobby and returns their records.
	Lobby(ctx context.Context, environment int64) ([]Route, error)
	// Switch makes d live, in one transaction: its phase is Ready, the one before is Removing from the time given on, the generation is
	// observed unless d is Unconfirmed, the hosts' records have a new revision, and an Event says so. It returns these records.
	Switch(ctx context.Context, d Deployment, backends []Backend, removeOldAt time.Time) ([]Route, error)
	// Fare records how a live deployment fares and returns the records of its hosts, each with the backends that answer, or without any: then the lobby
	// does. A record that is like that already keeps its revision. What is not live is refused with ErrSuperseded.
	Fare(ctx context.Context, id int64, c Condition) ([]Route, error)
	// Settle ends an attempt that did not get ready. With phase Failed, or Ready where the commit was live already, the generation is observed unless
	// d is Unconfirmed, and an Event says why; with Superseded or Cancelled it stays due.
	Settle(ctx context.Context, d Deployment) error
	// TakeDown settles an intent Gone as far as the records go: live deployments are Removing from now on, hosts' records are marked Removed or, for a
	// branch's host, given to the next pull request. It returns the records to be written. The generation is observed by TakenDown.
	TakeDown(ctx context.Context, environment, generation int64) ([]Route, error)
	// TakenDown observes the generation of an intent Gone, once nothing of the environment is left.
	TakenDown(ctx context.Context, environment, generation int64) error
	// Postpone counts a failure of ours at this generation; the environment is not due again before the time given. What it waits for is shown
	// until an attempt builds or the generation is settled, and an Event says it once.
	Postpone(ctx context.Context, environment, generation int64, until time.Time, waiting string) error
	// Deployment returns one by its ID.
	Deployment(ctx context.Context, id int64) (Deployment, error)
	// Owned returns the deployments that may own objects outside: all but those that are gone.
	Owned(ctx context.Context) ([]Deployment, error)
	// Removed records that nothing of the deployment is left outside: its phase is gone where it was removing, and its subnet is free again.
	Removed(ctx context.Context, id int64) error
	// Unreferenced returns those of the references that no deployment but the one given owns any more.
	Unreferenced(ctx context.Context, id int64, references []string) ([]string, error)
	// Interrupt ends, as cancelled, every attempt that a former process left running.
	Interrupt(ctx context.Context, reason string) error
}

// Vault holds secret values. On the disk they are encrypted.
type Vault interface {
	// Variables returns those of a repository, by name. Its spelling in capitals and small letters does not matter.
	Variables(ctx context.Context, repo string) (map[string]string, error)
	// Generate returns a random value for each name: as many hexadecimal digits as lengths says. An environment draws each once, and keeps it until it is
	// gone or the length is another one.
	Generate(ctx context.Context, environment int64, lengths map[string]int) (map[string]string, error)
}

// Outbox holds what is to be brought outside after the fact.
type Outbox interface {
	// Reports returns the first of the environments that changed since they were last reported, and that are not held back until after now, at most
	// limit.
	Reports(ctx context.Context, now time.Time, limit int) ([]PendingReport, error)
	// Reported records that the state numbered change was reported, and the Reporter's notes; nil leaves those that are there.
	Reported(ctx context.Context, environment, change int64, notes json.RawMessage) error
	// PostponeReport counts a failure, holds the report back, and records the notes.
	PostponeReport(ctx context.Context, environment int64, until time.Time, notes json.RawMessage) error
	// Unpushed returns the ready deployments, live ones, whose images are not safe in the registry.
	Unpushed(ctx context.Context) ([]Deployment, error)
	// Pushed records the digests and the time.
	Pushed(ctx context.Context, id int64, images []Image, at time.Time) error
	// Record writes an Event.
	Record(ctx context.Context, origin, text string) error
}

// A PendingReport is an environment that changed since it was last reported.
type PendingReport struct {
	Environment Environment
	Change      int64 // the number of its present state
	Failures    int
	Latest      *Deployment // the newest attempt, nil for none
	Live        *Deployment // the one that is served, nil for none
	Bookmark    string      // the host's label of its branch, where that host is its own
}

// The ports below return an [*Unavailable] where it is known who is waited for, and a [*Fault] for what the user has to mend. Any other error is a
// fault of ours.

// A Forge knows the repositories and says how they are now.
type Forge interface {
	// Head returns the present head and state of what the origin names. An answer that the thing is not there (any more) is a Head that is not Open.
	Head(ctx context.Context, o Origin) (Head, error)
	// Remote returns where to fetch a repository from, with a token that is valid for ten minutes at least.
	Remote(ctx context.Context, repo string) (Remote, error)
	// Opened returns what is open now in each of the repositories that we serve. One that it could not ask about is not among them, and is in the error, which
	// may stand beside an answer.
	Opened(ctx context.Context) ([]Opened, error)
	// Redeliver has the forge send again what it could not deliver. Calling it often is harmless.
	Redeliver(ctx context.Context) error
}

// Opened is what a forge has open of one repository: its pull requests, and the branches that have an environment of their own.
type Opened struct {
	Repo  string // "owner/name"
	Heads []OpenHead
	// Cause says why nothing of it is open, where that is because of the repository: "the repository is archived".
	Cause string
	// BranchesUnknown says that it could not be found out which branches have an environment of their own: none of them is in Heads, and those that have
	// one are left alone.
	BranchesUnknown bool
}

// An OpenHead is an origin that is open, and its head.
type OpenHead struct {
	Origin Origin
	Source Source
	Title  string    // of a pull request
	SeenAt time.Time // when Source became the head, at the latest; the zero time for now
}

// SkipNothing is the [Head.Skip] of what has nothing that could be deployed. Nobody on the forge is told of it, unless they ask.
const SkipNothing = "there is nothing to deploy"

// A Head is what a forge says of a pull request or a branch now.
type Head struct {
	Open bool
	// Cause says why it is not open, where it is not simply closed: "the branch is not tracked any more".
	Cause  string
	Source Source
	Title  string
	// Skip, where not empty, is the rule that keeps it from being deployed: "only docs/** changed".
	Skip string
	// Binding says that nobody can overrule Skip. Others are overruled by hand, until the next commit.
	Binding bool
}

// A Remote is a repository that git can fetch from.
type Remote struct {
	URL   string // without credentials
	Token string // for HTTP basic authentication as x-access-token; may be empty
}

// A Clerk resolves requests and tells people what became of them.
type Clerk interface {
	// Resolve asks the forge what the request needs to know.
	Resolve(ctx context.Context, r Request) (Resolution, error)
	// Answer tells of r.State. It is called again after a failure, and must be harmless when called twice.
	Answer(ctx context.Context, r Request) error
}

// A Reporter shows people the state of an environment.
type Reporter interface {
	// Report brings what people see to r and returns what it has to know of that the next time, also where it got through in part only. Writing twice is
	// harmless.
	Report(ctx context.Context, r PendingReport) (notes json.RawMessage, err error)
}

// A Builder turns commits into images.
type Builder interface {
	// Fetch checks out the source, without .git, into a folder that is the caller's: Checkout.Close removes it. A commit that is not there is a Fault.
	Fetch(ctx context.Context, r Remote, o Origin, s Source) (*Checkout, error)
	// Build builds, side by side, what req asks for, and returns the images in the order of req.Builds. What fails by the user's doing is a Fault.
	// When ctx is done the builds stop within a second.
	Build(ctx context.Context, req BuildRequest) ([]Image, error)
	// Push brings the images into the registry and returns them with their digests. Tags that the end of another deployment has taken are made again.
	Push(ctx context.Context, images []Image) ([]Image, error)
	// Remove untags the references on the engine and in the registry. One that is not there is no error.
	Remove(ctx context.Context, references []string) error
	// References lists those that the engine or the registry has of this instance.
	References(ctx context.Context) ([]string, error)
}

// A Checkout is a commit's files.
type Checkout struct {
	Dir   string // absolute
	Close func() error
}

// A BuildRequest asks for the images of one attempt.
type BuildRequest struct {
	Environment string // its name, for the tags
	Source      Source
	Dir         string // the checkout
	Fresh       bool   // no cache is used, and bases are pulled anew
	Builds      []Build
	Mask        *Mask     // of what may be secret; whatever is cut short of the output is masked before
	Log         io.Writer // gets the builds' output, lines of several builds mixed, each with its service
	// Progress is called as builds move on, side by side, with "step 6 of 11".
	Progress func(service, status string)
}

// A StackReader reads what a checkout asks for. What is wrong with the files is a Fault.
type StackReader interface {
	// Settings returns what .vitrine.yml tells the Controller; the zero Settings where there is none.
	Settings(ctx context.Context, dir string) (Settings, error)
	// Public returns the public services in their order; the first has the plain host. repo, "owner/name", is whose policy counts. Those of v.Own that
	// follow from the answer are not there yet.
	Public(ctx context.Context, repo, dir string, v Values) ([]PublicService, error)
	// Read returns the stack.
	Read(ctx context.Context, repo, dir string, v Values) (Stack, error)
}

// A Runtime runs stacks. Everything that it makes carries the instance's label and the deployment's, or in its place that of the environment's state:
// volumes, and the containers that write to them, stay from one deployment to the next (see [Deployment.State]).
type Runtime interface {
	// Occupied returns the networks that a new one must not overlap, whoever they belong to.
	Occupied(ctx context.Context) ([]netip.Prefix, error)
	// Prepare makes what a deployment needs before its images are known: its network.
	Prepare(ctx context.Context, d Deployment) error
	// Plan decides what to create and start, from the stack and the images that were built; others it looks up, and pulls where the image rule
	// lets it. What the image rule refuses is a Fault.
	Plan(ctx context.Context, r PlanRequest) (Plan, error)
	// Up carries the plan out beside what is live and waits until every service is healthy. It returns where the public services answer, each replica. A
	// service that exits, never gets healthy or does not listen is a Fault with its last lines, and so is an init job that fails. What ends after Up
	// returned stays so until Restore. What it replaces in place is stopped and kept; where Up fails, Restore of what is live brings it back.
	Up(ctx context.Context, d Deployment, s Start) ([]Backend, error)
	// Down removes everything that carries the deployment's label. What is not there is no error.
	Down(ctx context.Context, deployment int64) error
	// Clear removes everything that carries the state's label. What is not there is no error.
	Clear(ctx context.Context, state int64) error
	// Restore brings what there is to the plan of a deployment that is live: containers of its state that the plan does not have are removed, and what has
	// stopped is started again, in the order of its dependencies, and by the engine itself from then on. It returns once every service is up as its check
	// says. It is called for whatever has become live, and again whenever something of it may have stopped, but never while Up works on the same state;
	// what runs goes on. It returns ErrNotFound where something of the plan is not there any more, and a Fault where a service does not come up again.
	Restore(ctx context.Context, d Deployment) error
	// Watch follows what happens to containers of ours. connected is called once whatever comes next will be told, and happened for each Incident,
	// neither of them side by side. What Runtime itself stops, and what ends with the engine, is no Incident. It returns when the connection is lost,
	// or ctx is done.
	Watch(ctx context.Context, connected func(), happened func(Incident)) error
	// Silent returns those of the backends that do not answer. An engine that does not answer either is an Unavailable.
	Silent(ctx context.Context, backends []Backend) ([]Backend, error)
	// Logs hands on what containers of ours print and printed, as the query says, and returns the first error of line. It is not called side by side.
	Logs(ctx context.Context, q LogQuery, line func(LogLine) error) error
	// Inventory returns the deployments and states that something outside carries the label of.
	Inventory(ctx context.Context) (Inventory, error)
}

// A Firewall keeps previews and builds away from what is none of theirs.
type Firewall interface {
	// Ready returns nil where the firewall is up, as far as is known, and tries to put it up where it is not. Nothing that comes from a repository is
	// built or started before. It is called often, side by side.
	Ready(ctx context.Context) error
	// Sweep looks whether the firewall is still as it should be, mends it, and tests it now and then.
	Sweep(ctx context.Context) error
}

// Routes writes the records that a proxy serves.
type Routes interface {
	// Write brings each host's record to the route, unless the host has seen a higher revision. A route that is refused does not hold up the
	// others. Where it returns an Unavailable, the built-in proxy serves the routes all the same.
	Write(ctx context.Context, routes []Route) error
	// Hosts returns those that have a record of ours.
	Hosts(ctx context.Context) ([]string, error)
}

package deployments

import (
	"encoding/json"
	"time"
)

// A Delivery is what one webhook asks for. Accepting it is one transaction.
type Delivery struct {
	GUID     string // the forge's; a second one with the same GUID changes nothing. Empty for our own, which are always taken
	Event    string // "pull_request opened", for people
	Wants    []Want
	Requests []Request
	// Withdrawals are repositories that the forge does not let us see any more.
	Withdrawals []Withdrawal
	// Renames are repositories that have another name now. They come before everything else of the delivery.
	Renames []Rename
	// Compare asks for a comparison of the records with what the forge has open: it lets us see more than before.
	Compare bool
}

// Empty reports whether the delivery asks for nothing.
func (d Delivery) Empty() bool {
	return len(d.Wants)+len(d.Requests)+len(d.Withdrawals)+len(d.Renames) == 0 && !d.Compare
}

// A Rename gives everything of a repository to its new name: environments, hosts, history, Variables. Whatever had that name before is of a repository that
// is not there any more, and gives way.
type Rename struct {
	From, To string // "owner/name"; case does not count in From
}

// A Withdrawal wants every environment of a repository Gone.
type Withdrawal struct {
	Owner string // of the repository; case does not count
	Name  string // of the repository, without its owner; empty for every repository of the owner
	Cause string
}

// A Want is a change of what is wanted of one environment.
type Want struct {
	Origin Origin
	Source Source // the commit; a hint, as the forge is asked again before anything runs. Zero leaves the environment's
	Title  string // of the pull request; empty leaves it
	Intent Intent
	By     By
	Cause  string
	Force  bool // raise the generation even where nothing changes
	Reset  bool // begin with fresh data; with Force
	Fresh  bool // build without a cache, on bases that are pulled anew; with Force
	// Approve is the commit of a fork that a person approves; empty for none. With Force.
	Approve string
	// Pin keeps the environment from expiring, or ends that; nil leaves it.
	Pin *bool
	// SeenAt is when Source became the head, at the latest. The zero time stands for now.
	SeenAt time.Time
	// Extend moves the expiry by this much from where it is. Zero leaves the expiry to the rule (a push or a command makes it now + ttl at least).
	Extend time.Duration
	// Skip, where not empty, is the rule that keeps it from being deployed; with the intent Gone. An environment is made for it where there is none, so that
	// the people of the pull request are told.
	Skip string
}

// A Request is a delivery's question that needs an answer of the forge before it is a want: may this person command, is this branch tracked.
// Requests of one Origin are resolved in the order of their IDs.
type Request struct {
	ID        int64
	Origin    Origin
	Payload   json.RawMessage // the forge adapter's own
	State     RequestState
	Answered  RequestState // the last state that the forge was told of
	Reply     string       // Markdown to be written under the pull request; may be empty
	Failures  int
	NotBefore time.Time
}

// RequestState is how far a Request is.
type RequestState string

// The states. Taken lasts until the environment settles the generation that the request raised.
const (
	RequestPending   RequestState = "pending"
	RequestTaken     RequestState = "taken"
	RequestSucceeded RequestState = "succeeded"
	RequestFailed    RequestState = "failed"
	RequestRefused   RequestState = "refused"
	RequestIgnored   RequestState = "ignored" // not for us; nobody is told
)

// A Resolution is what became of a Request.
type Resolution struct {
	// State is Taken, where Wants have to settle first, or one of the final states.
	State RequestState
	Wants []Want
	Reply string
	Event string // a line for the history; may be empty
}

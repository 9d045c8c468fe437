package deployments

import (
	"encoding/json"
	"fmt"
	"time"
)

// An Environment is a preview that somebody can visit.
type Environment struct {
	ID     int64
	Name   string // the label of its host, such as "shop-pr-42"; unique and given for good
	Origin Origin
	// Sources are what the environment is made of. Sources[0] is the one whose .vitrine.yml counts.
	Sources []Source
	Title   string // of the pull request, for people; may be empty

	Intent Intent
	By     By     // who decided on the present Intent
	Cause  string // why, in words: "push 3f2a91c", "expired after 168h"
	Force  bool   // the present generation deploys even where its commit is live already
	Reset  bool   // the present generation begins with fresh data
	Fresh  bool   // the present generation builds without a cache, on bases that are pulled anew
	// Skipped is the rule that keeps it from being deployed, in words; empty for none. Its Intent is Gone then.
	Skipped string

	// Approved is the commit of a fork that somebody who may write has approved; empty for none. No other commit of a fork runs.
	Approved string
	// Held is the fork's commit that waits for approval; empty for none. What is live stays so meanwhile.
	Held string
	// Seen is the head that was heard of last, and SeenAt when that became the head, at the latest. An approval that is older than that is for another one.
	Seen   string
	SeenAt time.Time

	// Generation grows with every change of what is wanted. Observed is the last one that was settled; work is due while it is behind.
	Generation int64
	Observed   int64

	Live    int64 // the Deployment that is served; 0 for none
	Failed  bool  // the observed generation ended in a user's fault
	Expires time.Time
	TTL     time.Duration // by its own .vitrine.yml; 0 for the server's
	Pinned  bool          // it does not expire

	Failures  int       // attempts of this generation that ended in a fault of ours
	NotBefore time.Time // the next attempt starts no earlier
	Waiting   string    // what the next attempt waits for, in words; empty when it waits for nothing

	// Notes are what the Reporter has written down of what people are shown, in its own encoding; nil for none.
	Notes     json.RawMessage
	CreatedAt time.Time
}

// Due reports whether the environment needs an attempt at the time now.
func (e Environment) Due(now time.Time) bool {
	return e.Generation > e.Observed && !now.Before(e.NotBefore)
}

// Source returns Sources[0], or the zero Source.
func (e Environment) Source() Source {
	if len(e.Sources) == 0 {
		return Source{}
	}
	return e.Sources[0]
}

// An Origin is what asked for an environment: a pull request (Repo and PullRequest), a tracked branch (Repo and Branch), or a name given by hand.
type Origin struct {
	Repo        string `json:"repo,omitempty"` // "owner/name"
	PullRequest int    `json:"pull_request,omitempty"`
	Branch      string `json:"branch,omitempty"`
	Name        string `json:"name,omitempty"`
}

// Key identifies the origin: "acme/shop#42", "acme/shop@main" or "demo".
func (o Origin) Key() string {
	switch {
	case o.PullRequest != 0:
		return fmt.Sprintf("%s#%d", o.Repo, o.PullRequest)
	case o.Branch != "":
		return BranchKey(o.Repo, o.Branch)
	default:
		return o.Name
	}
}

// BranchKey identifies a branch of a repository. It is the [Origin.Key] of the branch's own environment, and the owner of its host.
func BranchKey(repo, branch string) string { return repo + "@" + branch }

// A Source is a repository at a commit.
type Source struct {
	Repo   string `json:"repo"`             // "owner/name"
	Branch string `json:"branch,omitempty"` // where the commit was seen
	SHA    string `json:"sha"`              // 40 hexadecimal digits
	Fork   bool   `json:"fork,omitempty"`   // it is a fork's code, which never sees a secret
}

// ShortSHA returns the first seven digits of the commit.
func (s Source) ShortSHA() string { return s.SHA[:min(7, len(s.SHA))] }

// Intent is what is wanted of an environment.
type Intent string

// The intents. Keep stands in a [Want] only: it leaves the environment's intent as it is.
const (
	Up   Intent = "up"
	Gone Intent = "gone"
	Keep Intent = ""
)

// By tells who decided on an intent. What a person or the expiry took down stays down until a new head or a command.
type By string

// Who decides.
const (
	ByEvent  By = "event"
	ByHand   By = "hand"
	ByExpiry By = "expiry"
)

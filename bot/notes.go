package bot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"vitrine/deployments"
)

// notesVersion is the version of the notes' encoding on disk.
const notesVersion = 1

// notes are what the Bot has to know of what people are shown of an environment.
type notes struct {
	Version int   `json:"version"`
	Comment int64 `json:"comment,omitempty"` // the number of the one comment; 0 for none
	// Checks are the check runs that may still have to change, by their commit.
	Checks      map[string]checkNote `json:"checks,omitempty"`
	Deployments []deploymentNote     `json:"deployments,omitempty"` // those that GitHub has, oldest first
}

// A checkNote is what a check run says.
type checkNote struct {
	ID         int64  `json:"id"`
	Conclusion string `json:"conclusion,omitempty"` // empty while it has none
	Shown      string `json:"shown,omitempty"`      // a hash of all that it says; empty where it lacks some of it
	// Annotated is how many of its annotations GitHub has. What is sent is added to them.
	Annotated int `json:"annotated,omitempty"`
}

// A deploymentNote is what GitHub has of one of an environment's deployments.
type deploymentNote struct {
	Number int64  `json:"number"` // ours
	ID     int64  `json:"id"`     // GitHub's
	State  string `json:"state,omitempty"`
	Shown  string `json:"shown,omitempty"` // a hash of all that it says
}

// known reports whether people were shown anything.
func (n notes) known() bool { return n.Comment != 0 || len(n.Checks)+len(n.Deployments) > 0 }

// fingerprint is the same for what says the same.
func fingerprint(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // there is nothing in it that JSON does not have
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// notesOf reads those of an environment.
func notesOf(e deployments.Environment) (n notes, err error) {
	n.Version = notesVersion
	if e.Notes == nil {
		return n, nil
	}
	if err := json.Unmarshal(e.Notes, &n); err != nil {
		return n, fmt.Errorf("read what is shown of %s: %w", e.Name, err)
	}
	if n.Version != notesVersion {
		return n, fmt.Errorf("read what is shown of %s: version %d of it is not known", e.Name, n.Version)
	}
	return n, nil
}

func (n notes) encode() json.RawMessage {
	text, err := json.Marshal(n)
	if err != nil {
		panic(err) // there is nothing in it that JSON does not have
	}
	return text
}

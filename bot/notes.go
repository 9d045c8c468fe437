package bot

import (
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

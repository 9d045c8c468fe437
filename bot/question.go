package bot

import (
	"encoding/json"
	"fmt"
	"time"

	"vitrine/deployments"
)

// questionVersion is the version of a question's encoding on disk.
const questionVersion = 1

// A question is the payload of a Request: exactly one of its parts is there.
type question struct {
	Version int      `json:"version"`
	Push    *push    `json:"push,omitempty"`
	Change  *change  `json:"change,omitempty"`
	Comment *comment `json:"comment,omitempty"`
	Button  *button  `json:"button,omitempty"`
}

// parts counts those that are there.
func (q question) parts() (n int) {
	for _, there := range []bool{q.Push != nil, q.Change != nil, q.Comment != nil, q.Button != nil} {
		if there {
			n++
		}
	}
	return n
}

// A push to a branch asks whether the branch is tracked. The branch is the request's origin.
type push struct {
	SHA string `json:"sha"`
}

// A change of a pull request asks what the rules say now.
type change struct {
	Action string `json:"action"` // the forge's word for it: "labeled"
}

// A button of a check asks whether whoever pressed it may deploy.
type button struct {
	Action string `json:"action"` // the forge's word for it: "rerequested"
	SHA    string `json:"sha"`    // the commit that the check is about
	User   string `json:"user"`   // who pressed it
}

// A comment with a command asks whether its author may command.
type comment struct {
	ID      int64     `json:"id"` // the forge's
	At      time.Time `json:"at"`
	User    string    `json:"user"` // the author's login
	Line    int       `json:"line"` // counts the comment's commands, from 0
	Command command   `json:"command"`
}

// marker is hidden in the reply to the command, and finds it again.
func (c comment) marker() string {
	if c.Line == 0 {
		return fmt.Sprintf("<!-- vitrine:reply:%d -->", c.ID)
	}
	return fmt.Sprintf("<!-- vitrine:reply:%d.%d -->", c.ID, c.Line)
}

// ask adds a request with the question to the delivery.
func ask(d *deployments.Delivery, o deployments.Origin, q question) error {
	q.Version = questionVersion
	payload, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("encode the question of %s: %w", o.Key(), err)
	}
	d.Requests = append(d.Requests, deployments.Request{Origin: o, Payload: payload, State: deployments.RequestPending})
	return nil
}

// questionOf reads a request's payload.
func questionOf(r deployments.Request) (question, error) {
	var q question
	if err := json.Unmarshal(r.Payload, &q); err != nil {
		return q, fmt.Errorf("decode request %d: %w", r.ID, err)
	}
	if q.Version != questionVersion || q.parts() != 1 {
		return q, fmt.Errorf("decode request %d: version %d of its payload is not known", r.ID, q.Version)
	}
	return q, nil
}

package deployments

import "time"

// A LogQuery asks for what the services of an environment print and printed, also those that are not there any more as far as it was kept.
type LogQuery struct {
	Environment string    // its name
	Service     string    // empty for all
	Since       time.Time // nothing older; the zero time for everything
	Tail        int       // at most as many lines of what was printed before the question, the last ones; 0 for all that there is
	Follow      bool      // goes on with what is printed from then on, until the context is done; containers that are started meanwhile are followed too
}

// A LogLine is one line that a service printed.
type LogLine struct {
	At         time.Time `json:"at"`
	Service    string    `json:"service"`
	Deployment int64     `json:"deployment,omitempty"` // that its container was made for; 0 for one that outlives deployments
	Err        bool      `json:"err,omitempty"`        // it was printed to the standard error
	// Text is valid UTF-8 without line breaks, control characters and what colours terminals, at most some 16 KiB long; longer ones say so at their end.
	Text string `json:"text"`
}

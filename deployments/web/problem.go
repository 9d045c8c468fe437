package web

import (
	"encoding/json"
	"net/http"
)

// A Problem is an error as RFC 9457 has it, of the media type application/problem+json.
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"` // what is wrong and what to do, in a sentence without an end
}

func problem(w http.ResponseWriter, status int, detail string) {
	answer(w, status, "application/problem+json", Problem{http.StatusText(status), status, detail})
}

func answer(w http.ResponseWriter, status int, kind string, v any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	// Whoever asked may be gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(v)
}

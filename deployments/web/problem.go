package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"vitrine/deployments"
)

// lookAtLog is what is told of an error of ours, which the log has.
const lookAtLog = "the server could not do it; its log says why"

// A Problem is an error as RFC 9457 has it, of the media type application/problem+json.
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"` // what is wrong and what to do, in a sentence without an end
}

func newProblem(status int, detail string) Problem {
	return Problem{http.StatusText(status), status, detail}
}

func problem(w http.ResponseWriter, status int, detail string) {
	answer(w, status, "application/problem+json", newProblem(status, detail))
}

// failed says what to tell of an error, and writes it to the log. what is a verb phrase.
func failed(ctx context.Context, log *slog.Logger, what string, err error) Problem {
	if cause := context.Cause(ctx); cause != nil {
		return newProblem(http.StatusServiceUnavailable, cause.Error())
	}
	if away, ok := errors.AsType[*deployments.Unavailable](err); ok {
		log.Warn(what, "error", err)
		return newProblem(http.StatusServiceUnavailable, away.Neighbour+" is away; ask again when it is back")
	}
	log.Error(what, "error", err)
	return newProblem(http.StatusInternalServerError, lookAtLog)
}

func answer(w http.ResponseWriter, status int, kind string, v any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	// Whoever asked may be gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(v)
}

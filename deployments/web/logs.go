package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"vitrine/deployments"
)

// LogsPath is the pattern of the path where an environment's logs are.
const LogsPath = "/api/v1/environments/{name}/logs"

// Environments knows which environments there are and have been. Its methods may be called side by side.
type Environments interface {
	// EnvironmentNamed returns the one of a name, or deployments.ErrNotFound.
	EnvironmentNamed(ctx context.Context, name string) (deployments.Environment, error)
}

// Output has what services print and printed. Its methods may be called side by side.
type Output interface {
	// Logs hands on the lines that the query asks for; see [deployments.Runtime].
	Logs(ctx context.Context, q deployments.LogQuery, line func(deployments.LogLine) error) error
}

// A LogMessage is one line of the answer to GET of [LogsPath]: what a service printed, or, as the last one, why there is no more.
type LogMessage struct {
	*deployments.LogLine
	Problem *Problem `json:"problem,omitempty"`
}

// LogsHandler serves [LogsPath]: GET answers with a [LogMessage] on each line (application/x-ndjson). Query parameters are those of a [deployments.LogQuery]: service,
// since (RFC 3339), tail and follow=true; with the last, the answer goes on until the request's context is done. What goes wrong before the first line is
// answered with a [Problem]. It asks nobody who they are: what is in front of it does.
func LogsHandler(e Environments, o Output, log *slog.Logger) http.Handler {
	h := &logsHandler{e, o, log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+LogsPath, h.stream)
	return mux
}

type logsHandler struct {
	environments Environments
	output       Output
	log          *slog.Logger
}

func (h *logsHandler) stream(w http.ResponseWriter, r *http.Request) {
	q, err := logQuery(r.PathValue("name"), r.URL.Query())
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if _, err := h.environments.EnvironmentNamed(r.Context(), q.Environment); err != nil {
		p := unknown(h.log, q.Environment, err)
		problem(w, p.Status, p.Detail)
		return
	}
	lines := newLineWriter(w, q.Follow)
	if err := h.output.Logs(r.Context(), q, func(l deployments.LogLine) error { return lines.write(LogMessage{LogLine: &l}) }); err != nil {
		lines.end(failed(r.Context(), h.log, "read logs", err))
		return
	}
	lines.begin()
}

// logQuery reads what is asked for.
func logQuery(name string, values url.Values) (q deployments.LogQuery, err error) {
	q = deployments.LogQuery{Environment: name, Service: values.Get("service")}
	if since := values.Get("since"); since != "" {
		if q.Since, err = time.Parse(time.RFC3339Nano, since); err != nil {
			return q, fmt.Errorf("since %q is no time; write it as in 2026-11-21T08:15:00Z", since)
		}
	}
	if tail := values.Get("tail"); tail != "" {
		if q.Tail, err = strconv.Atoi(tail); err != nil || q.Tail < 0 {
			return q, fmt.Errorf("tail %q is no number of lines", tail)
		}
	}
	if follow := values.Get("follow"); follow != "" {
		if q.Follow, err = strconv.ParseBool(follow); err != nil {
			return q, fmt.Errorf("follow %q is neither true nor false", follow)
		}
	}
	return q, nil
}

// A lineWriter answers with JSON, a line each.
type lineWriter struct {
	to      http.ResponseWriter
	encoder *json.Encoder
	flush   func() error // nil where the answer may wait for more
	begun   bool
}

func newLineWriter(w http.ResponseWriter, live bool) *lineWriter {
	l := &lineWriter{to: w, encoder: json.NewEncoder(w)}
	l.encoder.SetEscapeHTML(false)
	if live {
		l.flush = http.NewResponseController(w).Flush
	}
	return l
}

// begin answers that it went well so far.
func (l *lineWriter) begin() {
	if l.begun {
		return
	}
	l.begun = true
	l.to.Header().Set("Content-Type", "application/x-ndjson")
	l.to.WriteHeader(http.StatusOK)
}

func (l *lineWriter) write(m LogMessage) error {
	l.begin()
	err := l.encoder.Encode(m)
	if err == nil && l.flush != nil {
		err = l.flush()
	}
	return err
}

// end tells why there is no more.
func (l *lineWriter) end(p Problem) {
	if !l.begun {
		problem(l.to, p.Status, p.Detail)
		return
	}
	// Whoever asked may be gone; there is nobody else to tell.
	_ = l.write(LogMessage{Problem: &p})
}

// unknown says what it means that an environment could not be looked up.
func unknown(log *slog.Logger, name string, err error) Problem {
	if errors.Is(err, deployments.ErrNotFound) {
		return newProblem(http.StatusNotFound, fmt.Sprintf("there is no preview %q; its name is the first part of its host, as in shop-pr-42", name))
	}
	log.Error("look up a preview", "name", name, "error", err)
	return newProblem(http.StatusInternalServerError, lookAtLog)
}

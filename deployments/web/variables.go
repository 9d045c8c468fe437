// Package web answers over HTTP: so far the parts of the API that keep Variables and show what services print and take, for whoever may reach the handlers.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"

	"vitrine/deployments"
)

// VariablesPath is the pattern of the path where a repository's Variables are.
const VariablesPath = "/api/v1/repos/{owner}/{repo}/variables"

// maxBody is the most bytes of a request that are read.
const maxBody = 1 << 20

// Variables keeps values that are not in git. Its methods may be called side by side.
type Variables interface {
	// SetVariables stores them, in place of those that have the same names.
	SetVariables(ctx context.Context, repo string, values map[string]string) error
	// RemoveVariables removes all that are named, or none and returns deployments.ErrNotFound where one is not there.
	RemoveVariables(ctx context.Context, repo string, names []string) error
	// VariablesSet returns their names and when each was set.
	VariablesSet(ctx context.Context, repo string) (map[string]time.Time, error)
}

// A Variable is what is told of one: never its value.
type Variable struct {
	Name  string    `json:"name"`
	SetAt time.Time `json:"set_at"`
}

// A VariableList is the answer to GET, sorted by name.
type VariableList struct {
	Variables []Variable `json:"variables"`
}

// VariableValues is the body of PATCH: values by name.
type VariableValues struct {
	Variables map[string]string `json:"variables"`
}

// VariablesHandler serves [VariablesPath]: GET lists a repository's Variables as a [VariableList], PATCH sets those of a [VariableValues], and DELETE removes those
// that the query names (?name=A&name=B). Errors are a [Problem]. It asks nobody who they are: what is in front of it does.
func VariablesHandler(v Variables, log *slog.Logger) http.Handler {
	h := &variablesHandler{v, log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+VariablesPath, h.list)
	mux.HandleFunc("PATCH "+VariablesPath, h.set)
	mux.HandleFunc("DELETE "+VariablesPath, h.remove)
	return mux
}

type variablesHandler struct {
	variables Variables
	log       *slog.Logger
}

// repoForm is GitHub's form of owner/name.
var repoForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$`)

// repo returns the repository of the path, or answers that it is none.
func (h *variablesHandler) repo(w http.ResponseWriter, r *http.Request) (string, bool) {
	repo := r.PathValue("owner") + "/" + r.PathValue("repo")
	if !repoForm.MatchString(repo) {
		problem(w, http.StatusBadRequest, fmt.Sprintf("%q is no repository; write owner/name, as in acme/shop", repo))
		return "", false
	}
	return repo, true
}

func (h *variablesHandler) list(w http.ResponseWriter, r *http.Request) {
	repo, ok := h.repo(w, r)
	if !ok {
		return
	}
	set, err := h.variables.VariablesSet(r.Context(), repo)
	if err != nil {
		h.fail(w, err)
		return
	}
	answer(w, http.StatusOK, "application/json", sorted(set))
}

func (h *variablesHandler) set(w http.ResponseWriter, r *http.Request) {
	repo, ok := h.repo(w, r)
	if !ok {
		return
	}
	var body VariableValues
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		// What the decoder says may repeat a value.
		problem(w, http.StatusBadRequest, fmt.Sprintf(`the body is not {"variables": {"KEY": "value"}}, or has more than %d bytes`, maxBody))
		return
	}
	if len(body.Variables) == 0 {
		problem(w, http.StatusBadRequest, "there is no Variable to set; name one at least")
		return
	}
	for name, value := range body.Variables {
		if err := deployments.CheckVariable(name, value); err != nil {
			problem(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	if err := h.variables.SetVariables(r.Context(), repo, body.Variables); err != nil {
		h.fail(w, err)
		return
	}
	h.log.Info("Variables set", "repo", repo, "names", names(body.Variables))
	w.WriteHeader(http.StatusNoContent)
}

func (h *variablesHandler) remove(w http.ResponseWriter, r *http.Request) {
	repo, ok := h.repo(w, r)
	if !ok {
		return
	}
	named := r.URL.Query()["name"]
	if len(named) == 0 {
		problem(w, http.StatusBadRequest, "there is no Variable to remove; name one at least")
		return
	}
	err := h.variables.RemoveVariables(r.Context(), repo, named)
	switch {
	case errors.Is(err, deployments.ErrNotFound):
		problem(w, http.StatusNotFound, err.Error()+"; nothing was removed")
	case err != nil:
		h.fail(w, err)
	default:
		h.log.Info("Variables removed", "repo", repo, "names", named)
		w.WriteHeader(http.StatusNoContent)
	}
}

// fail answers that something of ours went wrong, which the log has.
func (h *variablesHandler) fail(w http.ResponseWriter, err error) {
	h.log.Error("keep Variables", "error", err)
	problem(w, http.StatusInternalServerError, lookAtLog)
}

// sorted returns a list of Variables by name.
func sorted(set map[string]time.Time) VariableList {
	list := VariableList{Variables: []Variable{}}
	for _, name := range names(set) {
		list.Variables = append(list.Variables, Variable{name, set[name]})
	}
	return list
}

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

package web

import (
	"context"
	"log/slog"
	"net/http"
	"slices"

	"vitrine/deployments"
)

// UsagePath is the path where it says what environments take of the engine's machine.
const UsagePath = "/api/v1/usage"

// A Meter measures what environments take. Its methods may be called side by side.
type Meter interface {
	// Usage returns what each environment takes that has anything on the engine, by name.
	Usage(ctx context.Context) ([]deployments.Usage, error)
}

// A UsageList is the answer to GET of [UsagePath], sorted by name.
type UsageList struct {
	Environments []deployments.Usage `json:"environments"`
}

// UsageHandler serves [UsagePath]: GET answers with a [UsageList] of every environment, or of those alone that the query names (?environment=shop-pr-42). One that
// has nothing on the engine is not in it, and one that never was is a [Problem]. It asks nobody who they are: what is in front of it does.
func UsageHandler(e Environments, m Meter, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+UsagePath, func(w http.ResponseWriter, r *http.Request) {
		named := r.URL.Query()["environment"]
		for _, name := range named {
			if _, err := e.EnvironmentNamed(r.Context(), name); err != nil {
				p := unknown(log, name, err)
				problem(w, p.Status, p.Detail)
				return
			}
		}
		used, err := m.Usage(r.Context())
		if err != nil {
			p := failed(r.Context(), log, "measure what previews take", err)
			problem(w, p.Status, p.Detail)
			return
		}
		list := UsageList{Environments: []deployments.Usage{}}
		for _, u := range used {
			if len(named) == 0 || slices.Contains(named, u.Environment) {
				list.Environments = append(list.Environments, u)
			}
		}
		answer(w, http.StatusOK, "application/json", list)
	})
	return mux
}

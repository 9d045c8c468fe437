package web

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

func TestUsageHandler(t *testing.T) {
	one := deployments.Usage{Environment: "shop-pr-1", Containers: 3, Memory: 1 << 20, CPUs: 0.5, Disk: deployments.Disk{Layers: 1, Volumes: 2, Logs: 3}}
	other := deployments.Usage{Environment: "shop-pr-2"}
	for name, test := range map[string]struct {
		query  string
		used   []deployments.Usage
		err    error
		status int
		want   []deployments.Usage
		says   string
	}{
		"of all":     {"", []deployments.Usage{one, other}, nil, 200, []deployments.Usage{one, other}, ""},
		"of one":     {"?environment=shop-pr-1", []deployments.Usage{one, other}, nil, 200, []deployments.Usage{one}, ""},
		"of nothing": {"?environment=shop-pr-1", []deployments.Usage{other}, nil, 200, []deployments.Usage{}, ""},
		"of none":    {"?environment=shop-pr-3", nil, nil, 404, nil, "there is no preview"},
		"no engine":  {"", nil, &deployments.Unavailable{Neighbour: "the Docker engine", Err: errors.New("refused")}, 503, nil, "the Docker engine is away"},
		"it breaks":  {"", nil, errors.New("refused"), 500, nil, "its log says why"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stage{used: test.used, err: test.err}
			answer := httptest.NewRecorder()
			UsageHandler(s, s, slog.New(slog.DiscardHandler)).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, UsagePath+test.query, nil))
			if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.says) {
				t.Fatalf("answers %d, %s; want %d, %s", answer.Code, answer.Body, test.status, test.says)
			}
			if test.status != http.StatusOK {
				return
			}
			var list UsageList
			if err := json.Unmarshal(answer.Body.Bytes(), &list); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, list.Environments); diff != "" {
				t.Error(diff)
			}
		})
	}
}

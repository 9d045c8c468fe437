package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

// A stage has one environment, shop-pr-1, and what it prints and takes.
type stage struct {
	asked deployments.LogQuery
	lines []deployments.LogLine
	used  []deployments.Usage
	err   error // of Logs after the lines, and of Usage
}

func (s *stage) EnvironmentNamed(_ context.Context, name string) (deployments.Environment, error) {
	switch name {
	case "shop-pr-1":
		return deployments.Environment{Name: name}, nil
	case "broken":
		return deployments.Environment{}, errors.New("the disk is away")
	}
	return deployments.Environment{}, fmt.Errorf("read environment %s: %w", name, deployments.ErrNotFound)
}

func (s *stage) Logs(ctx context.Context, q deployments.LogQuery, line func(deployments.LogLine) error) error {
	s.asked = q
	for _, l := range s.lines {
		if err := line(l); err != nil {
			return err
		}
	}
	if q.Follow {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return s.err
}

func (s *stage) Usage(context.Context) ([]deployments.Usage, error) { return s.used, s.err }

func TestLogsHandler(t *testing.T) {
	const logs = "/api/v1/environments/shop-pr-1/logs"
	at := time.Date(2026, 11, 21, 8, 15, 0, 0, time.UTC)
	const stamp = "2026-11-21T08:15:00Z"
	two := []deployments.LogLine{{At: at, Service: "web", Deployment: 7, Text: "<up>"}, {At: at, Service: "db", Err: true, Text: "oops"}}
	const both = `{"at":"` + stamp + `","service":"web","deployment":7,"text":"<up>"}` + "\n" + `{"at":"` + stamp + `","service":"db","err":true,"text":"oops"}` + "\n"
	away := &deployments.Unavailable{Neighbour: "the Docker engine", Err: errors.New("connection refused at a secret place")}
	for name, test := range map[string]struct {
		path   string
		lines  []deployments.LogLine
		err    error
		status int
		asked  deployments.LogQuery
		says   string
	}{
		"everything":  {logs, two, nil, 200, deployments.LogQuery{}, both},
		"nothing":     {logs, nil, nil, 200, deployments.LogQuery{}, ""},
		"a part":      {logs + "?service=web&tail=5&since=" + stamp + "&follow=false", nil, nil, 200, deployments.LogQuery{Service: "web", Tail: 5, Since: at}, ""},
		"a bad time":  {logs + "?since=10m", nil, nil, 400, deployments.LogQuery{}, `since \"10m\" is no time`},
		"a bad tail":  {logs + "?tail=-1", nil, nil, 400, deployments.LogQuery{}, "is no number of lines"},
		"bad follow":  {logs + "?follow=perhaps", nil, nil, 400, deployments.LogQuery{}, "neither true nor false"},
		"no preview":  {"/api/v1/environments/shop-pr-2/logs", nil, nil, 404, deployments.LogQuery{}, `there is no preview \"shop-pr-2\"`},
		"no store":    {"/api/v1/environments/broken/logs", nil, nil, 500, deployments.LogQuery{}, "its log says why"},
		"no engine":   {logs, nil, away, 503, deployments.LogQuery{}, "the Docker engine is away; ask again when it is back"},
		"it breaks":   {logs, nil, errors.New("at a secret place"), 500, deployments.LogQuery{}, "its log says why"},
		"it ends bad": {logs, two, away, 200, deployments.LogQuery{}, both + `{"problem":{"title":"Service Unavailable","status":503,"detail":"the Docker engine is away`},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stage{lines: test.lines, err: test.err}
			answer := httptest.NewRecorder()
			LogsHandler(s, s, slog.New(slog.DiscardHandler)).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, test.path, nil))
			if body := answer.Body.String(); answer.Code != test.status || !strings.HasPrefix(body, test.says) && test.status == 200 || !strings.Contains(body, test.says) || strings.Contains(body, "secret") {
				t.Errorf("answers %d, %s; want %d, %s", answer.Code, body, test.status, test.says)
			}
			if test.status == http.StatusOK || test.err != nil {
				test.asked.Environment = "shop-pr-1"
			}
			if diff := cmp.Diff(test.asked, s.asked); diff != "" {
				t.Errorf("asks for (-want +got):\n%s", diff)
			}
		})
	}
}

// Whoever follows gets a line as soon as it is there, and is told why there is no more.
func TestLogsHandlerFollows(t *testing.T) {
	s := &stage{lines: []deployments.LogLine{{Service: "web", Text: "up"}}}
	stopping, stop := context.WithCancelCause(t.Context())
	logs := LogsHandler(s, s, slog.New(slog.DiscardHandler))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { logs.ServeHTTP(w, r.WithContext(stopping)) }))
	defer server.Close()
	response, err := server.Client().Get(server.URL + "/api/v1/environments/shop-pr-1/logs?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	decoder := json.NewDecoder(response.Body)
	var m LogMessage
	if err := decoder.Decode(&m); err != nil || m.LogLine == nil || m.Text != "up" {
		t.Fatalf("the first message is %+v: %v", m, err)
	}
	stop(errors.New("the server stops"))
	m = LogMessage{}
	if err := decoder.Decode(&m); err != nil || m.LogLine != nil || m.Problem == nil || m.Problem.Detail != "the server stops" {
		t.Errorf("the last message is %+v: %v", m, err)
	}
}

package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/cmd/bench/report"
)

func TestAltered(t *testing.T) {
	body, err := altered([]byte(`{"action":"opened","number":1,"pull_request":{"number":1,"title":"x","state":"open"}}`),
		map[string]any{"action": "labeled", "number": 7}, map[string]any{"number": 7, "title": "y"})
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"action": "labeled", "number": 7.0, "pull_request": map[string]any{"number": 7.0, "title": "y", "state": "open"},
	}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
}

func TestWebhookRow(t *testing.T) {
	fast := func(n int) (sent []answer) {
		for range n {
			sent = append(sent, answer{took: time.Millisecond, status: http.StatusAccepted})
		}
		return sent
	}
	slow := append(fast(90), make([]answer, 0)...)
	for range 10 {
		slow = append(slow, answer{took: 50 * time.Millisecond, status: http.StatusAccepted})
	}
	tests := []struct {
		name    string
		sent    []answer
		stored  int
		verdict string
	}{
		{"all well", fast(100), 100, report.Holds},
		{"one lost", fast(100), 99, "does not hold: 1 were answered with 202 and are not stored"},
		{"one refused", append(fast(99), answer{status: http.StatusServiceUnavailable}), 99, "does not hold: 1 were not answered with 202"},
		{"slow", slow, 100, "does not hold; beside it a write with fsync took 30.0 ms (p99)"},
		{"nothing sent", nil, 0, "does not hold"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := webhookRow(test.sent, test.stored, 4, probe{write: report.Distribution{30}, late: report.Distribution{1}}).Verdict
			if !strings.HasPrefix(got, test.verdict) {
				t.Errorf("the verdict is %q, want %q", got, test.verdict)
			}
		})
	}
}

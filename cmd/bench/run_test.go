package main

import (
	"strings"
	"testing"
)

func TestRunRefuses(t *testing.T) {
	tests := []struct {
		name string
		args []string
		says string
	}{
		{"an unknown row", []string{"--rows", "push,nonsense"}, `there is no "nonsense"; there are push, webhooks, proxy, stacks, many`},
		{"no rounds", []string{"--rounds", "0"}, "rounds: 0 is less than 1"},
		{"an unknown flag", []string{"--nonsense"}, "unknown flag"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out, problems strings.Builder
			if code := run(t.Context(), test.args, &out, &problems); code != 2 {
				t.Errorf("the exit code is %d, want 2", code)
			}
			if !strings.Contains(problems.String(), test.says) {
				t.Errorf("it says %q, want %q in it", problems.String(), test.says)
			}
		})
	}
}

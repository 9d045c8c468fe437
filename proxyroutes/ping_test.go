package proxyroutes_test

import (
	"strings"
	"testing"

	"vitrine/proxyroutes"
)

func TestPing(t *testing.T) {
	url := startEmbedded(t)
	if err := proxyroutes.Ping(t.Context(), url); err != nil {
		t.Error(err)
	}
	if keys := client(t, url).Keys(t.Context(), "*").Val(); len(keys) != 0 {
		t.Errorf("it left %v", keys)
	}
	for address, want := range map[string]string{
		"redis://:secret@127.0.0.1:1": "127.0.0.1:1",
		"redis://:secret@127.0.0.1:x": "the Redis URL cannot be read",
	} {
		if err := proxyroutes.Ping(t.Context(), address); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want it to say %q", address, err, want)
		}
	}
}

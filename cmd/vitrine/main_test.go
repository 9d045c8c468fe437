package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Everything temporary, the built binary too, lies in one folder.
	dir, err := os.MkdirTemp("", "vitrine-test-")
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	if code == 0 {
		if err := goleak.Find(ignoredGoroutine()); err != nil {
			println(err.Error())
			code = 1
		}
	}
	os.Exit(code)
}

// ignoredGoroutine is one that nobody can end: distribution's handlers.App has no way to stop its event broadcaster (v3.1.2).
func ignoredGoroutine() goleak.Option {
	return goleak.IgnoreTopFunction("github.com/docker/go-events.(*Broadcaster).run")
}

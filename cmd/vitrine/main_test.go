package main

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	if code == 0 {
		// distribution's handlers.App has no way to end its event broadcaster (v3.1.2).
		if err := goleak.Find(goleak.IgnoreTopFunction("github.com/docker/go-events.(*Broadcaster).run")); err != nil {
			println(err.Error())
			code = 1
		}
	}
	os.Exit(code)
}

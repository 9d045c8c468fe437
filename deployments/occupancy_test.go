package deployments_test

import (
	"testing"
	"time"
)

// Attempts that begin together share one list of the engine's networks; one that begins later has its own.
func TestAttemptsShareTheListOfNetworks(t *testing.T) {
	inHouse(t, func(h *house) {
		for n := range 5 {
			h.pushed(n+1, 1)
		}
		h.settled()
		if n := h.called("Runtime.Occupied"); n != 1 {
			t.Errorf("five attempts that began together had the networks listed %d times, want once", n)
		}
		h.pass(time.Minute)
		h.pushed(1, 2)
		h.settled()
		if n := h.called("Runtime.Occupied"); n != 2 {
			t.Errorf("with a later one they were listed %d times, want 2", n)
		}
	})
}

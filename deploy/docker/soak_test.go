package docker

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"vitrine/deploy"
	"vitrine/deployments"
)

// TestSoakEngineEnds ends an engine at random moments of a deployment on its way up. Whatever it was doing, the engine is to blame, or nobody: what
// was up by then comes back. Nothing is left of what is removed.
func TestSoakEngineEnds(t *testing.T) {
	o := newOutage(t)
	stack := deploy.Stack{Services: shop().Services[:3]} // all but the one that only runs
	for id := range int64(12) {
		d := o.deployment(1+id, stack)
		d.Plan = o.plan(d, stack)
		var err error
		up := make(chan struct{})
		go func() {
			defer close(up)
			_, err = o.Up(context.Background(), d, d.Plan, nil)
		}()
		select {
		case <-up:
		case <-time.After(rand.N(1500 * time.Millisecond)):
		}
		end, name := o.host.Stop, "stopped"
		if id%2 == 0 {
			end, name = o.host.Kill, "killed"
		}
		end()
		<-up
		t.Logf("%s: %v", name, err)
		if err != nil {
			waitsFor(t, err, neighbourEngine)
		}
		o.host.Restart()
		if err == nil {
			if err := o.Restore(t.Context(), d); err != nil {
				t.Errorf("restore after the engine was %s: %v (Fault: %+v)", name, err, deployments.FaultOf(err))
			}
		}
		if err := o.Down(t.Context(), d.ID); err != nil {
			t.Errorf("remove after the engine was %s: %v", name, err)
		}
		if n := o.left(d.ID); n != 0 {
			t.Errorf("%d objects are left after the engine was %s", n, name)
		}
	}
}

package sqlite

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

// ask stores a request for each origin, in order.
func (f *fixture) ask(origins ...deployments.Origin) {
	f.Helper()
	var requests []deployments.Request
	for _, o := range origins {
		requests = append(requests, deployments.Request{Origin: o, Payload: []byte(`{"comment":7}`)})
	}
	must(f.Accept(f.Context(), deployments.Delivery{Event: "issue_comment", Requests: requests}))
}

// due returns the IDs of the requests that are to be resolved or answered.
func (f *fixture) due() (ids []int64) {
	f.Helper()
	for _, r := range must(f.Requests(f.Context(), f.clock.Now(), 1000)) {
		ids = append(ids, r.ID)
	}
	return ids
}

func (f *fixture) wantDue(ids ...int64) {
	f.Helper()
	if due := f.due(); !slices.Equal(due, ids) {
		f.Errorf("due requests = %v, want %v", due, ids)
	}
}

func (f *fixture) request(id int64) deployments.Request {
	f.Helper()
	for _, r := range must(f.Requests(f.Context(), f.clock.Now(), 1000)) {
		if r.ID == id {
			return r
		}
	}
	f.Fatalf("request %d is not due", id)
	panic("unreachable")
}

func TestRequestsAreResolvedInOrder(t *testing.T) {
	f := newFixture(t)
	f.ask(pull(1), pull(1), pull(2))
	want := deployments.Request{ID: 1, Origin: pull(1), Payload: []byte(`{"comment":7}`), State: deployments.RequestPending}
	if diff := cmp.Diff(want, f.request(1)); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	f.wantDue(1, 3)
	f.ok(f.PostponeRequest(t.Context(), 1, start.Add(time.Minute)))
	f.wantDue(3) // the second one of the same origin waits for the first
	f.clock.Add(time.Minute)
	f.wantDue(1, 3)
	if r := f.request(1); r.Failures != 1 {
		t.Errorf("failures = %d, want 1", r.Failures)
	}
	must(f.Resolve(t.Context(), 1, deployments.Resolution{State: deployments.RequestIgnored}))
	f.wantDue(2, 3) // nobody is told of the first
}

func TestARefusedRequestIsAnswered(t *testing.T) {
	f := newFixture(t)
	f.ask(pull(1))
	f.ok(f.PostponeRequest(t.Context(), 1, start))
	raised := must(f.Resolve(t.Context(), 1, deployments.Resolution{
		State: deployments.RequestRefused, Reply: "Only who may write can do that.", Event: "refused: /deploy by eve",
	}))
	r := f.request(1)
	if len(raised) != 0 || r.State != deployments.RequestRefused || r.Reply != "Only who may write can do that." || r.Failures != 0 {
		t.Errorf("raised %v, request %+v", raised, r)
	}
	if diff := cmp.Diff([]string{"refused: /deploy by eve"}, f.texts(pull(1))); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	f.ok(f.PostponeRequest(t.Context(), 1, start.Add(time.Minute)))
	f.wantDue()
	f.clock.Add(time.Minute)
	f.wantDue(1)
	f.ok(f.Answered(t.Context(), 1, deployments.RequestRefused))
	f.wantDue()
}

func TestResolveTwiceChangesNothing(t *testing.T) {
	f := newFixture(t)
	f.up(pull(1), commit(1, "login"))
	f.ask(pull(1))
	r := deployments.Resolution{State: deployments.RequestSucceeded, Wants: []deployments.Want{{Origin: pull(1), Extend: time.Hour}}}
	must(f.Resolve(t.Context(), 1, r))
	expires := f.of(pull(1)).Expires
	must(f.Resolve(t.Context(), 1, r))
	if got := f.of(pull(1)).Expires; !got.Equal(expires) || !got.Equal(start.Add(lifetime.TTL+time.Hour)) {
		t.Errorf("expires %s after the second, %s after the first", got, expires)
	}
	if _, err := f.Resolve(t.Context(), 99, r); !errors.Is(err, deployments.ErrNotFound) {
		t.Errorf("Resolve of an unknown request: %v, want ErrNotFound", err)
	}
}

func TestResolveCannotLeaveARequestPending(t *testing.T) {
	f := newFixture(t)
	f.ask(pull(1))
	if _, err := f.Resolve(t.Context(), 1, deployments.Resolution{State: deployments.RequestPending}); err == nil {
		t.Error("resolved as pending")
	}
}

func TestATakenRequestWaitsForItsGeneration(t *testing.T) {
	again := push(pull(1), commit(1, "login"))
	again.Force = true
	for _, test := range []struct {
		name string
		want deployments.Want
		end  func(f *fixture)
		then deployments.RequestState
	}{
		{"switched", again, func(f *fixture) { f.deploy(pull(1)) }, deployments.RequestSucceeded},
		{"failed", again, func(f *fixture) {
			d := f.claim(pull(1))
			d.Phase, d.Fault = deployments.Failed, &deployments.Fault{Reason: "RUN npm ci exited 1"}
			f.ok(f.Settle(f.Context(), d))
		}, deployments.RequestFailed},
		{"live already", again, func(f *fixture) {
			d := f.claim(pull(1))
			d.Phase = deployments.Ready
			f.ok(f.Settle(f.Context(), d))
		}, deployments.RequestSucceeded},
		{"superseded, then switched", again, func(f *fixture) {
			d := f.claim(pull(1))
			f.accept(push(pull(1), commit(2, "login")))
			d.Phase = deployments.Superseded
			f.ok(f.Settle(f.Context(), d))
			f.wantDue()
			f.deploy(pull(1))
		}, deployments.RequestSucceeded},
		{"taken down", closed(pull(1)), func(f *fixture) { f.down(pull(1)) }, deployments.RequestSucceeded},
		{"taken down in place of it", again, func(f *fixture) {
			f.accept(closed(pull(1)))
			f.down(pull(1))
		}, deployments.RequestFailed},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.up(pull(1), commit(1, "login"))
			f.ask(pull(1))
			raised := must(f.Resolve(t.Context(), 1, deployments.Resolution{State: deployments.RequestTaken, Wants: []deployments.Want{test.want}}))
			if len(raised) != 1 || raised[0].Generation != 2 {
				t.Fatalf("raised %v, want generation 2", raised)
			}
			if r := f.request(1); r.State != deployments.RequestTaken {
				t.Errorf("state = %s, want taken", r.State)
			}
			f.ok(f.Answered(t.Context(), 1, deployments.RequestTaken))
			f.wantDue()
			test.end(f)
			if r := f.request(1); r.State != test.then || r.Answered != deployments.RequestTaken {
				t.Errorf("request = %+v, want state %s", r, test.then)
			}
			f.ok(f.Answered(t.Context(), 1, deployments.RequestTaken)) // a late answer of the former state
			f.wantDue(1)
			f.ok(f.Answered(t.Context(), 1, test.then))
			f.wantDue()
		})
	}
}

func TestATakenRequestThatRaisesNothingHasSucceeded(t *testing.T) {
	f := newFixture(t)
	f.up(pull(1), commit(1, "login"))
	f.ask(pull(1))
	must(f.Resolve(t.Context(), 1, deployments.Resolution{
		State: deployments.RequestTaken, Wants: []deployments.Want{push(pull(1), commit(1, "login"))},
	}))
	if r := f.request(1); r.State != deployments.RequestSucceeded {
		t.Errorf("state = %s, want succeeded", r.State)
	}
}

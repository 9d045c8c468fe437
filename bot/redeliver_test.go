package bot

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"vitrine/deployments"
)

// down has nobody listen for webhooks until the function that it returns is called.
func (w *world) down() (up func()) {
	w.t.Helper()
	receiver := httptest.NewServer(nil)
	receiver.Close()
	w.SetWebhookURL(receiver.URL + WebhookPath)
	return func() {
		w.t.Helper()
		w.must(w.Settled(w.t.Context()))
		w.listen(w.bot.Webhooks(w))
	}
}

// listen has webhooks come to the handler from now on.
func (w *world) listen(h http.Handler) {
	receiver := httptest.NewServer(h)
	w.t.Cleanup(receiver.Close)
	w.SetWebhookURL(receiver.URL + WebhookPath)
}

func (w *world) redeliver() {
	w.t.Helper()
	w.must(w.bot.Redeliver(w.t.Context()))
	w.must(w.Settled(w.t.Context()))
}

// attempts returns how often each event was tried, by GUID.
func (w *world) attempts() map[string]int {
	tried := map[string]int{}
	for _, d := range w.Deliveries() {
		tried[d.GUID]++
	}
	return tried
}

// commentThrice writes three comments, which are three events.
func (w *world) commentThrice(number int) {
	w.t.Helper()
	for i := range 3 {
		_, err := w.Comment("acme/shop", number, "ana", fmt.Sprintf("/deploy\n%d", i))
		w.must(err)
	}
}

func (w *world) accepted() []deployments.Delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]deployments.Delivery(nil), w.inbox...)
}

// The server is down during three events. Each comes once, in their order, and is not asked for again; neither by a new process.
func TestRedeliver(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	up := w.down()
	w.commentThrice(number)
	up()
	w.redeliver()
	came := w.accepted()
	if len(came) != 3 {
		t.Fatalf("%d deliveries came", len(came))
	}
	var order []string
	for _, d := range w.Deliveries() {
		if d.Status != http.StatusAccepted {
			order = append(order, d.GUID)
		}
	}
	for i, d := range came {
		if d.GUID != order[i] || len(d.Requests) != 1 {
			t.Errorf("%d: %+v, want %v", i, d, order)
		}
	}
	before := w.attempts()
	w.pass(time.Hour)
	w.redeliver()
	w.bot.missed = missed{}
	w.redeliver()
	if after := w.attempts(); !maps.Equal(after, before) {
		t.Errorf("asked for again: %v, before %v", after, before)
	}
}

// What we answer with an error each time is asked for a bounded number of times, whatever process asks, with pauses that grow.
func TestRedeliverGivesUp(t *testing.T) {
	for name, restarted := range map[string]bool{"one process": false, "a new process each time": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			number, _ := w.open("a", "x")
			up := w.down()
			_, err := w.Comment("acme/shop", number, "ana", "hello")
			w.must(err)
			up()
			w.listen(http.NotFoundHandler())
			began, asked, passes := w.now(), 0, 0
			var at []time.Duration
			for ; w.now().Sub(began) < 12*time.Hour; passes++ {
				w.redeliver()
				if n := w.requests.count(http.MethodPost, "/attempts"); n > asked {
					asked, at = n, append(at, w.now().Sub(began))
				}
				if restarted {
					w.bot.missed = missed{}
				}
				w.pass(3 * time.Minute)
			}
			if asked != mostTries {
				t.Errorf("asked for it %d times in %d passes, at %s", asked, passes, at)
			}
			for i := 2; i < len(at) && !restarted; i++ {
				if at[i]-at[i-1] < 2*(at[i-1]-at[i-2]) {
					t.Errorf("the pauses do not grow: %s", at)
				}
			}
		})
	}
}

// A try that succeeds ends it.
func TestRedeliverSucceedsLater(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	up := w.down()
	_, err := w.Comment("acme/shop", number, "ana", "/deploy")
	w.must(err)
	up()
	w.listen(http.NotFoundHandler())
	w.redeliver()
	w.listen(w.bot.Webhooks(w))
	w.redeliver() // too early
	if n := len(w.accepted()); n != 0 {
		t.Errorf("%d deliveries came without a pause", n)
	}
	for range 3 {
		w.pass(10 * time.Minute)
		w.redeliver()
	}
	if n := len(w.accepted()); n != 1 {
		t.Errorf("%d deliveries came, want one", n)
	}
	if n := w.requests.count(http.MethodPost, "/attempts"); n != 2 {
		t.Errorf("asked for it %d times", n)
	}
}

// A later pass reads no more than what is new.
func TestRedeliverStopsAtWhatWasSeen(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	for i := range 230 {
		_, err := w.Comment("acme/shop", number, "ana", fmt.Sprint("comment ", i))
		w.must(err)
	}
	w.deliveries()
	pages := func() int { return w.requests.count(http.MethodGet, "/hook/deliveries") }
	w.redeliver()
	if n := pages(); n < 3 {
		t.Errorf("the first pass reads %d pages of 100", n)
	}
	w.bot.missed.seen = w.bot.missed.seen.Add(deliveryTime + time.Second) // as if all that were long ago
	before := pages()
	w.redeliver()
	if n := pages() - before; n != 1 {
		t.Errorf("the second pass reads %d pages", n)
	}
}

// What GitHub does not let the App do is said once; what it no longer has is not asked for again; what is away is waited for.
func TestRedeliverRefused(t *testing.T) {
	for name, test := range map[string]struct {
		part   string
		status int
		lost   int
		waits  bool
	}{
		"the list, 403":      {"/hook/deliveries", http.StatusForbidden, 1, false},
		"the list, 404":      {"/hook/deliveries", http.StatusNotFound, 1, false},
		"the list, 500":      {"/hook/deliveries", http.StatusInternalServerError, 0, true},
		"the attempts, 403":  {"/attempts", http.StatusForbidden, 1, false},
		"the attempts, 422":  {"/attempts", http.StatusUnprocessableEntity, 0, false},
		"the attempts, 404":  {"/attempts", http.StatusNotFound, 0, false},
		"the attempts, 500":  {"/attempts", http.StatusInternalServerError, 0, true},
		"nothing is refused": {"/nowhere", http.StatusForbidden, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.loose.Store(true)
			number, _ := w.open("a", "x")
			up := w.down()
			w.commentThrice(number)
			up()
			w.refuse(test.part, test.status, nil)
			for range 3 {
				if err := w.bot.Redeliver(t.Context()); test.waits {
					unavailable(t, err, waitsForGitHub)
				} else if err != nil {
					t.Error(err)
				}
			}
			if n := len(w.bot.lost); n != test.lost {
				t.Errorf("%d things are lost: %v", n, w.bot.lost)
			}
			if n := w.requests.count(http.MethodPost, "/attempts"); test.status/100 == 4 && n > 3 {
				t.Errorf("asked for three deliveries %d times", n)
			}
		})
	}
}

// Whatever the pass before did not get to, the next one does.
func TestRedeliverIsBounded(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	up := w.down()
	for i := range asksAPass + 7 {
		_, err := w.Comment("acme/shop", number, "ana", fmt.Sprint("comment ", i))
		w.must(err)
	}
	up()
	for i, want := range []int{asksAPass, asksAPass + 7, asksAPass + 7} {
		w.redeliver()
		if n := w.requests.count(http.MethodPost, "/attempts"); n != want {
			t.Errorf("pass %d: asked for %d, want %d", i, n, want)
		}
	}
}

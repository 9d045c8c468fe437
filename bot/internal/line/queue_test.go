package line

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A desk takes requests as GitHub does, each in the time that is set.
type desk struct {
	takes time.Duration

	mu       sync.Mutex
	at, most int
	taken    []string
}

func (d *desk) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	d.at++
	d.most = max(d.most, d.at)
	d.taken = append(d.taken, r.Method+" "+r.URL.Path)
	d.mu.Unlock()
	time.Sleep(d.takes)
	d.mu.Lock()
	d.at--
	d.mu.Unlock()
	return answering(http.StatusOK, nil, strings.NewReader("{}")), nil
}

func (d *desk) queue(t *testing.T) http.RoundTripper {
	t.Helper()
	l := trunkOver(t, d.RoundTrip).Line("installation 1")
	return l.InTurn(l)
}

// ask sends a request, and returns its error where there is one.
func ask(t *testing.T, ctx context.Context, next http.RoundTripper, method, path string) error {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, "http://github.test"+path, strings.NewReader("{}"))
	if err != nil {
		t.Error(err)
		return err
	}
	answer, err := next.RoundTrip(r)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// Writes go one after the other in the order in which they were asked for.
func TestQueueKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{takes: time.Second}
		q := d.queue(t)
		var sent sync.WaitGroup
		var want []string
		for i, method := range []string{"POST", "PATCH", "PUT", "DELETE", "POST", "PATCH"} {
			path := "/" + strconv.Itoa(i)
			want = append(want, method+" "+path)
			sent.Go(func() {
				if err := ask(t, t.Context(), q, method, path); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		sent.Wait()
		if !slices.Equal(d.taken, want) || d.most != 1 {
			t.Errorf("%v, %d at once; want %v", d.taken, d.most, want)
		}
	})
}

// Reads are not held up by writes.
func TestQueueLetsReadsPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{takes: 5 * time.Second}
		q := d.queue(t)
		began := time.Now()
		var sent sync.WaitGroup
		for _, method := range []string{"POST", "POST", "GET", "HEAD", "GET"} {
			sent.Go(func() {
				if err := ask(t, t.Context(), q, method, "/"); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); method != "POST" && took != 5*time.Second {
					t.Errorf("%s took %s", method, took)
				}
			})
		}
		sent.Wait()
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("two writes took %s", took)
		}
	})
}

// A write that waits gives up with its context, is not sent, and holds up nobody.
func TestQueueGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{takes: 5 * time.Second}
		q := d.queue(t)
		tired := errors.New("tired")
		var sent sync.WaitGroup
		sent.Go(func() {
			if err := ask(t, t.Context(), q, "POST", "/1"); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		sent.Go(func() {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, tired)
			defer cancel()
			if err := ask(t, ctx, q, "POST", "/2"); !errors.Is(err, tired) {
				t.Errorf("%v", err)
			}
		})
		synctest.Wait()
		sent.Go(func() {
			if err := ask(t, t.Context(), q, "POST", "/3"); err != nil {
				t.Error(err)
			}
		})
		sent.Wait()
		if want := []string{"POST /1", "POST /3"}; !slices.Equal(d.taken, want) {
			t.Errorf("%v", d.taken)
		}
	})
}

// Few writes do not wait; many have pauses between them, so that GitHub gets no more than it takes in a minute.
func TestQueuePauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := (&desk{}).queue(t)
		began := time.Now()
		var at []time.Duration
		for range 200 {
			if err := ask(t, t.Context(), q, "POST", "/"); err != nil {
				t.Fatal(err)
			}
			at = append(at, time.Since(began))
		}
		if at[writesAtOnce-1] != 0 || at[writesAtOnce] != WritePause {
			t.Errorf("the last without a pause came after %s, the next after %s", at[writesAtOnce-1], at[writesAtOnce])
		}
		for i := range at {
			if i >= 80 && at[i]-at[i-80] < time.Minute {
				t.Fatalf("81 writes within %s", at[i]-at[i-80])
			}
		}
		time.Sleep(time.Minute)
		late, cancel := context.WithTimeout(t.Context(), WritePause/2)
		defer cancel()
		for range writesAtOnce {
			if err := ask(t, late, q, "POST", "/"); err != nil {
				t.Fatalf("after a minute's rest: %v", err)
			}
		}
		if err := ask(t, late, q, "POST", "/"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a pause that is longer than the patience: %v", err)
		}
	})
}

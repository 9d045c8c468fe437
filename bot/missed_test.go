package bot

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"
	"pgregory.net/rapid"
)

// A hookLog is GitHub's record of deliveries.
type hookLog struct {
	attempts []*github.HookDelivery // oldest first
}

func (l *hookLog) add(guid string, at time.Time, status int, again bool) {
	l.attempts = append(l.attempts, &github.HookDelivery{
		ID: github.Int64(int64(len(l.attempts) + 1)), GUID: &guid, DeliveredAt: &github.Timestamp{Time: at}, StatusCode: &status, Redelivery: &again,
	})
}

// since returns what GitHub lists, newest first.
func (l *hookLog) since(at time.Time) (listed []*github.HookDelivery) {
	for i := len(l.attempts) - 1; i >= 0 && !l.attempts[i].GetDeliveredAt().Before(at); i-- {
		listed = append(listed, l.attempts[i])
	}
	return listed
}

// However events fail, people press "Redeliver" and the process is started anew: nothing is asked for that arrived, or too often, and what has not
// arrived and was not tried too often is asked for within the longest pause.
func TestMissedProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
		now, log, m := start, &hookLog{}, &missed{}
		arrived, tries, first := map[string]bool{}, map[string]int{}, map[string]time.Time{}
		attempt := func(guid string, again bool) {
			status := rapid.SampledFrom([]int{0, 202, 302, 404, 500, 502}).Draw(t, "status")
			log.add(guid, now, status, again)
			arrived[guid] = arrived[guid] || status == 202
			if again {
				tries[guid]++
			}
		}
		pass := func() {
			m.learn(log.since(m.since(now)), now)
			for _, u := range m.due(now, 5) {
				if arrived[u.guid] {
					t.Fatalf("%s arrived", u.guid)
				}
				if tries[u.guid] >= mostTries {
					t.Fatalf("%s was tried %d times", u.guid, tries[u.guid])
				}
				u.ask(now)
				attempt(u.guid, true)
			}
		}
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1:
				guid := fmt.Sprint("event ", i)
				first[guid] = now
				attempt(guid, false)
			case 2:
				now = now.Add(time.Duration(rapid.IntRange(1, 600).Draw(t, "minutes")) * time.Minute)
			case 3:
				m = &missed{}
			case 4:
				if len(log.attempts) > 0 {
					attempt(rapid.SampledFrom(log.attempts).Draw(t, "again").GetGUID(), true)
				}
			default:
				pass()
			}
			now = now.Add(time.Second)
		}
		// What GitHub knows for long enough yet comes to its end.
		for range 100 {
			now = now.Add(5 * time.Minute)
			pass()
		}
		for guid, at := range first {
			if at.After(now.Add(-deliveriesKept)) && !arrived[guid] && tries[guid] < mostTries {
				t.Fatalf("%s has not arrived and was tried %d times", guid, tries[guid])
			}
		}
	})
}

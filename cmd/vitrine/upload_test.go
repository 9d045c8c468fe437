package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
)

// An upload is a crowd of webhooks, at a fixed rate, about pull requests of repositories that GitHub knows nothing of.
type upload struct {
	rate   int           // a second
	during time.Duration // the server is killed shortly before its end, or later where it is slow
	after  time.Duration // how long the server is watched that was started again

	templates []githubsim.Delivery // of acme/shop#1
}

const (
	crowdRepositories  = 50
	crowdPulls         = 40 // of each repository
	connectionsOfCrowd = 128
	// leastTaken is how many webhooks have their 202 at least when serve is killed.
	leastTaken = 200
)

// What serve may need for a crowd that it has taken in, however large.
const (
	mostCalls  = 64  // to GitHub, at once
	mostMemory = 512 // MiB
)

// answerTime is how long GitHub takes for an answer.
const answerTime = 200 * time.Millisecond

// A reception is what became of one webhook of an upload.
type reception struct {
	guid, origin string
	request      bool // it asks something of GitHub; else it wants something of an environment
	status       int  // 0 where there was no answer
	text         string
	took         time.Duration // from the moment at which it was to be sent
}

func TestUpload(t *testing.T) {
	uploadAndKill(t, &upload{rate: 1000, during: 1500 * time.Millisecond, after: 3 * time.Second})
}

func TestSoakUpload(t *testing.T) {
	uploadAndKill(t, &upload{rate: 1000, during: 10 * time.Second, after: 20 * time.Second})
}

// uploadAndKill holds that what got its 202 is in the store when serve is killed amid a crowd of webhooks, and that serve digests the crowd without
// falling over it.
func uploadAndKill(t *testing.T, u *upload) {
	w := newWorld(t, "VITRINE_SUBNETS=10.213.0.0/16", "VITRINE_REPOS=crowd-*/*,"+sample.Repository)
	u.record(w)
	github := slowGithub(w)
	w.start()
	receptions := u.run(w)
	u.report(w, receptions)
	u.digest(w, github)
	u.check(w, receptions)
}

// record has the simulated GitHub make a webhook of each kind.
func (u *upload) record(w *world) {
	w.github.SetWebhookURL("http://127.0.0.1:1/") // nobody is there
	change := githubsim.Change{Repository: sample.Repository, Branch: "crowd", Author: sample.Developer, Files: map[string]string{"crowd.txt": "1"}}
	_, err := w.github.Commit(w.Context(), change)
	w.must(err)
	_, err = w.github.OpenPullRequest(w.Context(), githubsim.PullRequest{Repository: sample.Repository, Head: "crowd", Title: "A crowd", Author: sample.Developer})
	w.must(err)
	change.Files["crowd.txt"] = "2"
	_, err = w.github.Commit(w.Context(), change)
	w.must(err)
	_, err = w.github.Comment(sample.Repository, 1, sample.Developer, "/deploy")
	w.must(err)
	w.must(w.github.Settled(w.Context()))
	all := w.github.Deliveries()
	for _, kind := range []string{"pull_request opened", "pull_request synchronize", "push ", "issue_comment created"} {
		i := slices.IndexFunc(all, func(d githubsim.Delivery) bool { return d.Event+" "+d.Action == kind })
		if i < 0 {
			w.Fatalf("the simulated GitHub made no %s", kind)
		}
		u.templates = append(u.templates, all[i])
	}
}

// webhook returns the i-th one, and its reception to be filled in. Their kinds take turns, and so do the repositories and pull requests.
func (u *upload) webhook(i int) (webhook, reception) {
	template := u.templates[i%len(u.templates)]
	i /= len(u.templates)
	owner, repository, pull := fmt.Sprintf("crowd-%d", i%5), fmt.Sprintf("shop-%d", i%crowdRepositories), i/crowdRepositories%crowdPulls+1
	body := template.Body
	for _, change := range [][2]string{
		{sample.Repository, owner + "/" + repository},
		{`"number":1,`, fmt.Sprintf(`"number":%d,`, pull)},
		{"refs/heads/crowd", fmt.Sprintf("refs/heads/crowd-%d", pull)},
	} {
		body = bytes.ReplaceAll(body, []byte(change[0]), []byte(change[1]))
	}
	guid := fmt.Sprintf("%08d-%s", i, template.GUID[9:])
	r := reception{guid: guid, origin: fmt.Sprintf("%s/%s#%d", owner, repository, pull), request: template.Event != "pull_request"}
	if template.Event == "push" {
		r.origin = fmt.Sprintf("%s/%s@crowd-%d", owner, repository, pull)
	}
	return webhook{guid: guid, event: template.Event, body: body}, r
}

// run sends each webhook at its time, whatever became of those before, and kills serve while some are under way.
func (u *upload) run(w *world) []reception {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: connectionsOfCrowd, MaxConnsPerHost: connectionsOfCrowd}}
	w.Cleanup(client.CloseIdleConnections)
	receptions := make([]reception, int(u.during.Seconds()*float64(u.rate)))
	var all sync.WaitGroup
	var taken atomic.Int64
	began := time.Now()
	all.Go(func() {
		// The moment itself, and then a wait for a server that is slow.
		time.Sleep(u.during * 19 / 20)
		for taken.Load() < leastTaken && time.Since(began) < patience {
			time.Sleep(time.Millisecond)
		}
		w.process.Process.Kill()
	})
	for i := range receptions {
		// What is late is sent at once: the rate does not depend on the answers.
		due := began.Add(time.Duration(i) * time.Second / time.Duration(u.rate))
		time.Sleep(time.Until(due))
		all.Go(func() {
			h, r := u.webhook(i)
			r.status, r.text, _ = w.post(w.Context(), client, h) // no answer is one too: the status is 0
			r.took = time.Since(due)
			if r.status == http.StatusAccepted {
				taken.Add(1)
			}
			receptions[i] = r
		})
	}
	all.Wait()
	<-w.exited
	w.process = nil
	return receptions
}

// report says how it went.
func (u *upload) report(w *world, receptions []reception) {
	statuses := make(map[int]int)
	var took []time.Duration
	for _, r := range receptions {
		statuses[r.status]++
		if r.status != 0 {
			took = append(took, r.took)
		}
	}
	slices.Sort(took)
	if len(took) == 0 {
		w.Fatal("no webhook was answered")
	}
	w.Logf("%d webhooks at %d a second; by status, 0 for none: %v; answered after %s at the median, %s at the 99th percentile, %s at most",
		len(receptions), u.rate, statuses, took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
}

// check looks for everything that got its 202.
func (u *upload) check(w *world, receptions []reception) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.data, "vitrine.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	w.must(err)
	defer db.Close()
	rows := func(text string) map[string]int {
		found := make(map[string]int)
		rows, err := db.QueryContext(w.Context(), text)
		w.must(err)
		defer rows.Close()
		for rows.Next() {
			var key string
			w.must(rows.Scan(&key))
			found[key]++
		}
		w.must(rows.Err())
		return found
	}
	guids, requests, environments := rows(`SELECT guid FROM deliveries`), rows(`SELECT origin_key FROM requests`), rows(`SELECT origin FROM environments`)
	taken, lost, asked := 0, 0, make(map[string]int)
	for _, r := range receptions {
		if r.request && guids[r.guid] > 0 {
			asked[r.origin]++
		}
		if r.status != http.StatusAccepted {
			continue
		}
		taken++
		if r.text != "accepted" {
			w.Fatalf("%s got 202 %q: it stores nothing, and shows nothing", r.guid, r.text)
		}
		if guids[r.guid] != 1 || !r.request && environments[r.origin] != 1 {
			lost++
			w.Errorf("%s about %s got its 202, and is lost", r.guid, r.origin)
		}
	}
	for origin, n := range asked {
		if requests[origin] != n {
			w.Errorf("%d requests about %s are stored, of %d deliveries", requests[origin], origin, n)
		}
	}
	w.Logf("%d of %d got their 202; %d of these are lost", taken, len(receptions), lost)
	if taken < leastTaken {
		w.Errorf("only %d webhooks got their 202, want %d at least", taken, leastTaken)
	}
}

// A busyness is how many calls are under way at once.
type busyness struct{ now, most atomic.Int64 }

// slowGithub has every call to GitHub take its time, and counts them.
func slowGithub(w *world) *busyness {
	b := &busyness{}
	w.github.Intercept(func(http.ResponseWriter, *http.Request) bool {
		n := b.now.Add(1)
		defer b.now.Add(-1)
		for before := b.most.Load(); n > before && !b.most.CompareAndSwap(before, n); before = b.most.Load() {
		}
		time.Sleep(answerTime)
		return false
	})
	return b
}

// digest starts serve again and watches it at work on what it took in.
func (u *upload) digest(w *world, github *busyness) {
	const open = `SELECT (SELECT COUNT(*) FROM environments WHERE observed < generation) + (SELECT COUNT(*) FROM requests WHERE state = 'pending')`
	w.start()
	before := query[int](w, open)
	health := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var slowest time.Duration
	looks := 0
	for end := time.Now().Add(u.after); time.Now().Before(end); looks++ {
		began := time.Now()
		response, err := health.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", w.port))
		w.must(err)
		response.Body.Close()
		slowest = max(slowest, time.Since(began))
		time.Sleep(50 * time.Millisecond) // the next look
	}
	memory := w.memory()
	w.Logf("%d of %d are still to be done after %s; /healthz answered %d times, after %s at most; %d calls to GitHub at once at most; %d MiB of memory at most",
		query[int](w, open), before, u.after, looks, slowest, github.most.Load(), memory)
	if github.most.Load() > mostCalls {
		w.Errorf("%d calls to GitHub were made at once, want %d at most", github.most.Load(), mostCalls)
	}
	if memory > mostMemory {
		w.Errorf("serve had %d MiB of memory, want %d at most", memory, mostMemory)
	}
}

// memory returns the most memory that serve had, in MiB (proc(5), VmHWM).
func (w *world) memory() int {
	w.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.process.Process.Pid))
	w.must(err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			w.must(err)
			return kib >> 10
		}
	}
	w.Fatal("the system does not say how much memory serve had")
	return 0
}

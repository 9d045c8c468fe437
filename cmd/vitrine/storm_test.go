package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
	"vitrine/deploy"
	"vitrine/proxyroutes/redistest"
)

// A storm is a crowd of pushes to pull requests whose webhooks come late, in any order, twice, and several at once.
type storm struct {
	*world
	pulls, pushes int
	mostBuilds    int // how many deployments may have begun to build

	client   *http.Client // brings the webhooks
	random   *rand.Rand
	heads    []string  // the last commit of each pull request
	pending  []webhook // those that GitHub made and that are still to arrive, each twice
	accepted sync.Map  // the GUIDs of those that asked for something
}

// connections is how many webhooks of a storm arrive at once.
const connections = 4

func TestStorm(t *testing.T) {
	(&storm{pulls: 4, pushes: 48, mostBuilds: 28}).rage(t)
}

func TestSoakStorm(t *testing.T) {
	(&storm{pulls: 10, pushes: 300, mostBuilds: 100}).rage(t)
}

// rage holds that every preview ends at its last commit whatever arrives, with one attempt at a time, and without a build for each push.
func (s *storm) rage(t *testing.T) {
	// Each preview has two networks for a moment, and a world's pool is for eight.
	pool := fmt.Sprintf("VITRINE_SUBNETS=10.213.%d.0/20", 16*rand.IntN(16))
	s.world = newWorld(t, "VITRINE_REDIS_URL="+redistest.Start(t).URL(), pool)
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	t.Cleanup(s.client.CloseIdleConnections)
	seed := uint64(time.Now().UnixNano())
	s.random = rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	s.must(sample.Small(t.Context(), s.github, s.base))
	s.start()
	s.open()
	watch := s.watch()
	s.blow()
	s.settled()
	watch.end()
	s.converged()
	s.inTurn()
	s.close()
	s.stop()
}

// open opens the pull requests and waits for their previews.
func (s *storm) open() {
	s.Helper()
	s.heads = make([]string, s.pulls)
	for i := range s.pulls {
		s.push(i, "at first")
		_, err := s.github.OpenPullRequest(s.Context(), githubsim.PullRequest{
			Repository: sample.SmallRepository, Head: branchOf(i), Title: "Change " + branchOf(i), Author: sample.Developer,
		})
		s.must(err)
	}
	s.settled()
	s.served()
	// From here on GitHub reaches nobody, and the webhooks are ours to bring.
	s.github.SetWebhookURL("http://127.0.0.1:1/")
}

func branchOf(i int) string { return "topic-" + strconv.Itoa(i+1) }

func (s *storm) push(i int, text string) {
	s.Helper()
	sha, err := s.github.Commit(s.Context(), githubsim.Change{
		Repository: sample.SmallRepository, Branch: branchOf(i), Author: sample.Developer, Files: map[string]string{"index.html": sample.SmallPage(text)},
	})
	s.must(err)
	s.heads[i] = sha
}

// blow pushes, in turn, and brings the webhooks. Most of the pushes are made before the first webhook arrives; from then on they arrive as further ones are
// made, drawn from all that wait, so that the heads move meanwhile and some webhooks are late by most of the storm.
func (s *storm) blow() {
	s.Helper()
	known := len(s.github.Deliveries())
	began := time.Now()
	for i := range s.pushes {
		s.push(i%s.pulls, fmt.Sprint("push ", i))
		made := s.github.Deliveries()
		for _, d := range made[known:] {
			h := webhook{guid: d.GUID, event: d.Event, body: d.Body}
			s.pending = append(s.pending, h, h)
		}
		known = len(made)
		if i >= s.pushes*2/3 {
			s.deliver(len(s.pending) / (s.pushes - i))
		}
	}
	s.deliver(len(s.pending))
	s.Logf("%d pushes and their webhooks took %s", s.pushes, time.Since(began).Round(time.Second/10))
}

// deliver brings n of the webhooks that wait, drawn at random, several at once.
func (s *storm) deliver(n int) {
	s.Helper()
	s.random.Shuffle(len(s.pending), func(i, j int) { s.pending[i], s.pending[j] = s.pending[j], s.pending[i] })
	arriving := s.pending[:n]
	s.pending = s.pending[n:]
	for group := range slices.Chunk(arriving, connections) {
		var senders sync.WaitGroup
		for _, h := range group {
			senders.Go(func() {
				status, text, err := s.post(s.Context(), s.client, h)
				if err != nil || status != http.StatusAccepted {
					s.Errorf("%s %s was answered %d %q (%v)", h.event, h.guid, status, text, err)
				}
				if text == "accepted" {
					s.accepted.Store(h.guid, true)
				}
			})
		}
		senders.Wait()
	}
}

// served waits until each preview shows its last commit.
func (s *storm) served() {
	s.Helper()
	story := s.story()
	for i, sha := range s.heads {
		s.must(story.answers(s.Context(), labelOf(i), "Commit "+sha))
	}
}

func labelOf(i int) string { return "page-pr-" + strconv.Itoa(i+1) }

// converged checks what the storm has led to.
func (s *storm) converged() {
	s.Helper()
	s.served()
	taken := 0
	for guid := range s.accepted.Range {
		taken++
		if n := query[int](s.world, `SELECT COUNT(*) FROM deliveries WHERE guid = ?`, guid); n != 1 {
			s.Errorf("delivery %s is stored %d times", guid, n)
		}
	}
	if taken < 2*s.pushes {
		s.Errorf("%d deliveries were accepted, want two for each of %d pushes", taken, s.pushes)
	}
	all := query[int](s.world, `SELECT COUNT(*) FROM deployments`)
	builds := query[int](s.world, `SELECT COUNT(*) FROM deployments WHERE timings LIKE '%"building"%'`)
	s.Logf("%d deployments, of which %d began to build, %d of these for the first commits", all, builds, s.pulls)
	if builds > s.mostBuilds {
		s.Errorf("%d deployments began to build, want %d at most", builds, s.mostBuilds)
	}
}

// inTurn checks by the records that no attempt at an environment began before the one before had ended.
func (s *storm) inTurn() {
	s.Helper()
	const overlapping = `SELECT coalesce(group_concat(a.id || ' and ' || b.id, ', '), '') FROM deployments a JOIN deployments b
		ON b.environment_id = a.environment_id AND b.id > a.id AND (a.ended_at = 0 OR b.created_at < a.ended_at)`
	if both := query[string](s.world, overlapping); both != "" {
		s.Errorf("these attempts at one environment ran together: %s", both)
	}
	const open = `SELECT COUNT(*) FROM deployments WHERE ended_at = 0`
	if n := query[int](s.world, open); n != 0 {
		s.Errorf("%d attempts have not ended", n)
	}
}

// close closes all pull requests, with webhooks that arrive, and checks that nothing is left.
func (s *storm) close() {
	s.Helper()
	s.github.SetWebhookURL(fmt.Sprintf("http://127.0.0.1:%d/webhooks/github", s.port))
	for i := range s.pulls {
		s.must(s.github.ClosePullRequest(sample.SmallRepository, i+1, sample.Developer))
	}
	s.settled()
	left, err := s.left(s.Context())
	s.must(err)
	// The engine may still have named the image of a build that was cancelled; it is the sweep that finds it, and there is one at the start.
	isImage := func(o string) bool { return strings.HasPrefix(o, "image ") }
	if other := slices.DeleteFunc(slices.Clone(left), isImage); len(other) > 0 {
		s.Errorf("left: %q", other)
	}
	s.Logf("%d images are left to the sweep", len(left))
	s.stop()
	s.start()
	s.eventually("the sweep has removed what is left", func() bool {
		left, err := s.left(s.Context())
		s.must(err)
		return len(left) == 0
	})
}

// A stormWatch looks at the containers again and again.
type stormWatch struct {
	*storm
	cancel context.CancelFunc
	ended  chan error
	// together are the deployments of one environment that were seen to have containers at the same time, by pairs.
	together map[[2]string]bool
	looks    int
}

func (s *storm) watch() *stormWatch {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	w := &stormWatch{storm: s, cancel: cancel, ended: make(chan error, 1), together: make(map[[2]string]bool)}
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	s.must(err)
	ours := filters.NewArgs(filters.Arg("label", deploy.LabelInstance+"="+s.instance()))
	go func() {
		defer engine.Close()
		w.ended <- w.look(ctx, engine, ours)
	}()
	return w
}

func (w *stormWatch) look(ctx context.Context, engine *client.Client, ours filters.Args) error {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for ; ctx.Err() == nil; <-pause.C {
		found, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: ours})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		w.looks++
		for i, a := range found {
			for _, b := range found[:i] {
				one, other := a.Labels[deploy.LabelDeployment], b.Labels[deploy.LabelDeployment]
				if a.Labels[deploy.LabelEnvironment] == b.Labels[deploy.LabelEnvironment] && one != other {
					w.together[[2]string{one, other}] = true
				}
			}
		}
	}
	return nil
}

// end ends the watch. Two deployments of one environment that never went live were attempts, and may not have had containers at the same time.
func (w *stormWatch) end() {
	w.Helper()
	w.cancel()
	w.must(<-w.ended)
	for pair := range w.together {
		const never = `SELECT COUNT(*) FROM deployments WHERE id IN (?, ?) AND live_at = 0`
		if query[int](w.world, never, pair[0], pair[1]) == 2 {
			w.Errorf("the attempts %s and %s at one environment had containers at the same time", pair[0], pair[1])
		}
	}
	w.Logf("looked at the containers %d times; %d times two versions of one preview stood side by side", w.looks, len(w.together))
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
)

// diskSize is how many bytes a disk has. The image of the least stack takes some 30 MB of it.
const diskSize = 128 << 20

// A disk is one of a test's own, in memory, that can be filled.
type disk struct {
	*testing.T
	dir string
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	if testing.Short() {
		t.Skip("mounts a disk")
	}
	if os.Geteuid() != 0 {
		t.Fatal("a disk of the test's own needs root")
	}
	d := &disk{T: t, dir: t.TempDir()}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d
}

// fill leaves about that many bytes.
func (d *disk) fill(leave int64) {
	d.Helper()
	var state syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &state); err != nil {
		d.Fatal(err)
	}
	file, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(make([]byte, max(0, int64(state.Bavail)*state.Bsize-leave))); err != nil && !errors.Is(err, syscall.ENOSPC) {
		d.Fatal(err)
	}
}

// free undoes fill.
func (d *disk) free() {
	d.Helper()
	if err := os.Remove(d.ballast()); err != nil {
		d.Fatal(err)
	}
}

func (d *disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// With no room at all a webhook is refused, and taken when it is sent again. With room for the records alone an attempt waits and says so. Neither goes
// round in circles, and what is live is served.
func TestFullDisk(t *testing.T) {
	t.Parallel() // it waits for most of its time
	d := newDisk(t)
	w := newWorldBeside(t, neighbours{disk: d})
	ctx := w.bounded(5 * time.Minute)
	w.must(sample.Small(ctx, w.github, w.base))
	w.start()
	s := w.story()

	d.fill(0)
	sha := w.commitPage(ctx, "First", nil)
	_, err := w.github.OpenPullRequest(ctx, githubsim.PullRequest{Repository: sample.SmallRepository, Head: "topic", Title: "First", Author: sample.Developer})
	w.must(err)
	refused := w.refusals(ctx)
	if len(refused) == 0 {
		t.Error("every webhook was taken while the disk was full")
	}
	d.free()
	for _, guid := range refused {
		w.must(w.github.Redeliver(guid))
	}
	if again := w.refusals(ctx); len(again) != len(refused) {
		t.Errorf("%d deliveries failed altogether, %d of them the first time", len(again), len(refused))
	}
	w.must(s.answers(ctx, "page-pr-1", "Commit "+sha))
	w.settled()
	w.liveImages("page-pr-1")

	d.fill(1 << 20)
	second := w.commitPage(ctx, "Second", bytes.Repeat([]byte{7}, 4<<20))
	w.eventually("the history says what is waited for", func() bool { return w.told("acme/page#1", "waits for free disk space on the server") })
	w.eventually("the comment says what is waited for", func() bool {
		comments, err := w.github.Comments(sample.SmallRepository, 1)
		w.must(err)
		return len(comments) == 1 && strings.Contains(comments[0].Body, "It waits for free disk space on the server, and goes on by itself.")
	})
	w.atEase("a disk that has room for records", 3*time.Second)
	d.fill(0)
	w.atEase("a disk that has no room", 3*time.Second)
	w.must(s.answers(ctx, "page-pr-1", "Commit "+sha))
	d.free()
	w.must(s.answers(ctx, "page-pr-1", "Commit "+second))
	w.settled()
	w.stop()
}

// commitPage commits a page with the text, and a file with the content beside it, to the branch topic.
func (w *world) commitPage(ctx context.Context, text string, content []byte) (sha string) {
	w.Helper()
	sha, err := w.github.Commit(ctx, githubsim.Change{
		Repository: sample.SmallRepository, Branch: "topic", Author: sample.Developer,
		Files: map[string]string{"index.html": sample.SmallPage(text), "large": string(content)},
	})
	w.must(err)
	return sha
}

// refusals waits until every webhook has been delivered, and returns those that were answered 503.
func (w *world) refusals(ctx context.Context) (guids []string) {
	w.Helper()
	w.must(w.github.Settled(ctx))
	for _, delivery := range w.github.Deliveries() {
		switch delivery.Status {
		case http.StatusAccepted:
		case http.StatusServiceUnavailable:
			guids = append(guids, delivery.GUID)
		default:
			w.Errorf("%s %s was answered %d", delivery.Event, delivery.Action, delivery.Status)
		}
	}
	return guids
}

// atEase holds that serve does not work itself to death for a while in which it can do nothing.
func (w *world) atEase(why string, most time.Duration) {
	w.Helper()
	const perSecond = 4 // tries of a backoff that begins with a second, and what belongs to each
	look := func() (deployments, lines int) {
		log, err := os.ReadFile(w.logs)
		w.must(err)
		return query[int](w, `SELECT COUNT(*) FROM deployments`), bytes.Count(log, []byte("\n"))
	}
	deployments, lines := look()
	began := time.Now()
	w.eventually(most.String()+" have passed", func() bool { return time.Since(began) > most })
	moreDeployments, moreLines := look()
	bound := perSecond * int(time.Since(began).Seconds()+1)
	w.Logf("on %s serve made %d deployments and wrote %d lines in %s", why, moreDeployments-deployments, moreLines-lines, time.Since(began).Round(time.Second))
	if moreDeployments-deployments > bound || moreLines-lines > 8*bound {
		w.Errorf("on %s serve goes round in circles", why)
	}
}

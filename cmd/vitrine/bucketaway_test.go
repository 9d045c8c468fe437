package main

import (
	"fmt"
	"testing"
	"time"

	"vitrine/builder/registry/s3test"
	"vitrine/cmd/internal/sample"
)

// The bucket goes away while images are pushed, hangs while others are, and is away when the preview is closed: previews are live meanwhile, and
// everything is made up for.
func TestSoakBucketAway(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := newWorldBeside(t, neighbours{bucket: s3test.Start(t)})
	w.start()
	s := w.story()
	ctx := w.bounded(4 * time.Minute)
	_, err := s.openStock(ctx)
	w.must(err)
	w.eventually("the push begins", func() bool { return w.phase("ready") })
	w.bucket.Stop()
	w.must(s.answers(ctx, "shop-pr-1", "Stock: 12"))
	const waits = "the push of the images waits for the registry's storage"
	w.eventually("the history says who is waited for", func() bool { return w.tellings("acme/shop#1", waits) > 0 })
	w.must(s.comment(ctx, 1, "### Preview: ready"))
	w.bucket.Restart()
	w.holdBlobs(w.liveImages("shop-pr-1"))
	if n := w.tellings("acme/shop#1", waits); n != 1 || w.tellings("acme/shop#1", "the images are safe in the registry") != 1 {
		t.Errorf("the history says %d times that the push waits, want once, and once that it is made up for", n)
	}

	w.bucket.Freeze()
	w.pushLabel("Meanwhile")
	w.must(s.answers(ctx, "shop-pr-1", "Meanwhile: 12"))
	w.bucket.Thaw()
	w.holdBlobs(w.liveImages("shop-pr-1"))
	w.settled()

	w.bucket.Stop()
	w.must(w.github.ClosePullRequest(sample.Repository, 1, sample.Developer))
	w.eventually("the history says who is waited for", func() bool { return w.tellings("acme/shop#1", "waits for the registry") > 1 })
	w.must(s.comment(ctx, 1, "Preview is being removed", "It waits for the registry"))
	w.bucket.Restart()
	w.must(s.comment(ctx, 1, "Preview removed: pull request closed"))
	left, err := s.left(ctx)
	w.must(err)
	if len(left) > 0 {
		t.Errorf("left: %s", fmt.Sprint(left))
	}
	w.stop()
}

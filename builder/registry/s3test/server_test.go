package s3test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/service/s3"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServerKeepsObjectsOverARestart(t *testing.T) {
	s := Start(t)
	key := "a/b"
	if _, err := s.client().PutObject(&s3.PutObjectInput{Bucket: &s.Bucket, Key: &key, Body: strings.NewReader("x")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client().CreateMultipartUpload(&s3.CreateMultipartUploadInput{Bucket: &s.Bucket, Key: &key}); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	s.Stop()
	if answers(t, s, time.Minute) {
		t.Error("the stopped server answers")
	}
	s.Restart()
	if diff := cmp.Diff([]string{key}, s.Objects(t.Context())); diff != "" {
		t.Errorf("objects: %s", diff)
	}
	if diff := cmp.Diff([]string{key}, s.Uploads(t.Context())); diff != "" {
		t.Errorf("uploads: %s", diff)
	}
}

func TestServerFreezes(t *testing.T) {
	s := Start(t)
	s.Freeze()
	if answers(t, s, 200*time.Millisecond) {
		t.Error("the frozen server answers")
	}
	s.Thaw()
	if !answers(t, s, time.Minute) {
		t.Error("the thawed server does not answer")
	}
	s.Freeze() // it can be stopped nevertheless
}

// answers reports whether the server answers within the time.
func answers(t *testing.T, s *Server, within time.Duration) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	_, err := s.ask(ctx)
	return err == nil
}

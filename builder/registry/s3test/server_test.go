package s3test

import (
	"context"
	"net/http"
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
	if status, err := get(t, s, time.Minute); err == nil {
		t.Errorf("the stopped server answers %d", status)
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
	if status, err := get(t, s, 200*time.Millisecond); err == nil {
		t.Errorf("the frozen server answers %d", status)
	}
	s.Thaw()
	if _, err := get(t, s, time.Minute); err != nil {
		t.Error(err)
	}
	s.Freeze() // it can be stopped nevertheless
}

// get asks the server without keys.
func get(t *testing.T, s *Server, wait time.Duration) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	answer.Body.Close()
	return answer.StatusCode, nil
}

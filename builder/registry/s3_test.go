package registry

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vitrine/builder/registry/s3test"
)

func TestComplete(t *testing.T) {
	amazon := S3{Bucket: "previews", Region: "eu-central-1"}
	own := S3{Bucket: "previews", Endpoint: "https://minio.internal:9000"}
	with := func(s S3, change func(*S3)) S3 {
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		given, want S3
		wrong       string // part of the error; "" for none
	}{
		"Amazon":           {given: amazon, want: with(amazon, func(s *S3) { s.Addressing = AddressingVirtual })},
		"another server":   {given: own, want: with(own, func(s *S3) { s.Addressing, s.Region = AddressingPath, "us-east-1" })},
		"a region as well": {given: with(own, func(s *S3) { s.Region = "here" }), want: with(own, func(s *S3) { s.Addressing, s.Region = AddressingPath, "here" })},
		"an explicit choice": {
			given: with(own, func(s *S3) { s.Addressing = AddressingVirtual }),
			want:  with(own, func(s *S3) { s.Addressing, s.Region = AddressingVirtual, "us-east-1" }),
		},
		"a folder": {
			given: with(amazon, func(s *S3) { s.Prefix = "/a//b.c/" }),
			want:  with(amazon, func(s *S3) { s.Addressing, s.Prefix = AddressingVirtual, "a/b.c" }),
		},
		"the whole bucket": {given: with(amazon, func(s *S3) { s.Prefix = "/" }), want: with(amazon, func(s *S3) { s.Addressing = AddressingVirtual })},

		"no bucket":              {given: S3{Region: "eu-central-1"}, wrong: "set registry-s3-bucket"},
		"an address as a bucket": {given: S3{Bucket: "s3://previews"}, wrong: "registry-s3-bucket"},
		"no region":              {given: S3{Bucket: "previews"}, wrong: "set registry-s3-region"},
		"one key":                {given: with(own, func(s *S3) { s.AccessKey = "a" }), wrong: "registry-s3-secret-key"},
		"the other key":          {given: with(own, func(s *S3) { s.SecretKey = "s" }), wrong: "registry-s3-access-key"},
		"a strange folder":       {given: with(amazon, func(s *S3) { s.Prefix = "a b" }), wrong: "no folder of a bucket"},
		"a strange choice":       {given: with(amazon, func(s *S3) { s.Addressing = "sideways" }), wrong: "no way to name a bucket"},
		"no scheme":              {given: with(own, func(s *S3) { s.Endpoint = "minio.internal:9000" }), wrong: "http"},
		"a name only":            {given: with(own, func(s *S3) { s.Endpoint = "minio" }), wrong: "beginning with http"},
		"a strange scheme":       {given: with(own, func(s *S3) { s.Endpoint = "s3://minio" }), wrong: "beginning with http"},
		"no host":                {given: with(own, func(s *S3) { s.Endpoint = "https://:9000" }), wrong: "beginning with http"},
		"a path":                 {given: with(own, func(s *S3) { s.Endpoint += "/previews" }), wrong: "without a path"},
		"a query":                {given: with(own, func(s *S3) { s.Endpoint += "?a=b" }), wrong: "without a path"},
		"a user":                 {given: with(own, func(s *S3) { s.Endpoint = "https://u:hidden@minio" }), wrong: "without a user"},
		"no address at all":      {given: with(own, func(s *S3) { s.Endpoint = "https://u:hidden@minio:port" }), wrong: "registry-s3-endpoint"},
	} {
		got, err := c.given.complete()
		if c.wrong == "" {
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%s: %v %s", name, err, diff)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.wrong) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: got %v, want it to contain %q", name, err, c.wrong)
		}
	}
}

func TestS3KeepsKeysOutOfTheLog(t *testing.T) {
	to, out := logger()
	s := S3{Bucket: "previews", Region: "eu-central-1", AccessKey: "hidden", SecretKey: "hidden"}
	to.Info("use", "bucket", s, "text", s.String(), slog.Any("pointer", &s))
	if log := out.String(); strings.Contains(log, "hidden") || !strings.Contains(log, "bucket previews at Amazon S3 in eu-central-1") {
		t.Error(log)
	}
}

func TestStartSaysWhatToCorrect(t *testing.T) {
	server := s3test.Start(t)
	// Nothing outside this machine is asked for keys.
	for name, value := range map[string]string{
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "", "HOME": t.TempDir(),
	} {
		t.Setenv(name, value)
	}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html><p>Hello") }))
	defer page.Close()
	encrypted := httptest.NewTLSServer(http.NotFoundHandler())
	encrypted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	defer encrypted.Close()
	for name, c := range map[string]struct {
		change func(*S3)
		want   string
	}{
		"bucket":            {func(s *S3) { s.Bucket = "absent" }, "bucket absent at " + server.Endpoint + " is not there: make it, or correct registry-s3-bucket"},
		"bucket's name":     {func(s *S3) { s.Bucket = "A_B" }, "registry-s3-bucket"},
		"access key":        {func(s *S3) { s.AccessKey = "unknown" }, "correct registry-s3-access-key"},
		"secret key":        {func(s *S3) { s.SecretKey = "wrong" }, "correct registry-s3-secret-key"},
		"no keys":           {func(s *S3) { s.AccessKey, s.SecretKey = "", "" }, "set registry-s3-access-key and registry-s3-secret-key"},
		"region":            {func(s *S3) { s.Region = "eu-central-1" }, "correct registry-s3-region"},
		"unknown region":    {func(s *S3) { s.Region, s.Endpoint = "nowhere-1", "" }, "nowhere-1"},
		"no S3 server":      {func(s *S3) { s.Endpoint = page.URL }, "correct registry-s3-endpoint"},
		"not encrypted":     {func(s *S3) { s.Endpoint = "https" + strings.TrimPrefix(server.Endpoint, "http") }, "does not encrypt: correct registry-s3-endpoint"},
		"strange authority": {func(s *S3) { s.Endpoint = encrypted.URL }, "AWS_CA_BUNDLE"},
	} {
		t.Run(name, func(t *testing.T) {
			bucket := inBucket(server)
			c.change(bucket)
			config := Config{S3: bucket, Listen: "127.0.0.1:0"}
			r, err := Start(t.Context(), config)
			if err == nil {
				stop(t, r)
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line that contains %q", err, c.want)
			}
			if _, err := Check(t.Context(), config); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the check says %v, want it to contain %q", err, c.want)
			}
		})
	}
}

func TestStartUsesTheKeysOfTheEnvironment(t *testing.T) {
	server := s3test.Start(t)
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	bucket := inBucket(server)
	bucket.AccessKey, bucket.SecretKey = "", ""
	r := start(t, Config{S3: bucket})
	defer stop(t, r)
	push(t, r, "acme/shop", "one")
}

func TestCheckLeavesNothing(t *testing.T) {
	server := s3test.Start(t)
	found, err := Check(t.Context(), Config{S3: inBucket(server)})
	if err != nil || found != "bucket previews at "+server.Endpoint+" reads, writes and removes" {
		t.Errorf("got %q %v", found, err)
	}
	if left := append(server.Objects(t.Context()), server.Uploads(t.Context())...); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	server.Stop()
	_, err = Check(t.Context(), Config{S3: inBucket(server)})
	if err == nil || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), server.Endpoint) {
		t.Errorf("of a stopped server it says %v", err)
	}
}

func TestAnswersThatPassAndThatLast(t *testing.T) {
	t.Setenv("AWS_CA_BUNDLE", "") // as in s3test.Start
	var checks sync.WaitGroup
	defer checks.Wait()
	for status, lasts := range map[int]bool{
		http.StatusInternalServerError: false, http.StatusBadGateway: false, http.StatusServiceUnavailable: false, http.StatusGatewayTimeout: false,
		http.StatusInsufficientStorage: false, http.StatusTooManyRequests: false, http.StatusRequestTimeout: false,
		http.StatusForbidden: true, http.StatusNotFound: true, http.StatusTeapot: true,
	} {
		checks.Go(func() {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", strings.ReplaceAll(http.StatusText(status), " ", ""))
			}))
			defer server.Close()
			_, err := Check(t.Context(), Config{S3: &S3{Bucket: "previews", Endpoint: server.URL, AccessKey: "a", SecretKey: "s"}})
			if err == nil || isMistake(err) != lasts {
				t.Errorf("%d: got %v; that it lasts is %v", status, err, !lasts)
			}
		})
	}
}

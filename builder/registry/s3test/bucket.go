package s3test

import (
	"context"
	"net/http"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/s3"
)

// client returns one for the test's own questions. It keeps no connection, so that none is left over an outage.
func (s *Server) client() *s3.S3 {
	s.t.Helper()
	config := &aws.Config{
		Endpoint: &s.Endpoint, Region: &s.Region, S3ForcePathStyle: aws.Bool(true),
		Credentials: credentials.NewStaticCredentials(s.AccessKey, s.SecretKey, ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	opened, err := session.NewSession(config)
	if err != nil {
		s.t.Fatal(err)
	}
	return s3.New(opened)
}

func (s *Server) makeBucket() {
	s.t.Helper()
	if _, err := s.client().CreateBucket(&s3.CreateBucketInput{Bucket: &s.Bucket}); err != nil {
		s.t.Fatal(err)
	}
}

// Objects returns the keys of the bucket's objects, sorted.
func (s *Server) Objects(ctx context.Context) []string {
	s.t.Helper()
	var keys []string
	err := s.client().ListObjectsV2PagesWithContext(ctx, &s3.ListObjectsV2Input{Bucket: &s.Bucket}, func(page *s3.ListObjectsV2Output, _ bool) bool {
		for _, object := range page.Contents {
			keys = append(keys, *object.Key)
		}
		return true
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return keys
}

// Uploads returns the keys of the multipart uploads that were begun and neither completed nor aborted, sorted.
func (s *Server) Uploads(ctx context.Context) []string {
	s.t.Helper()
	var keys []string
	input := &s3.ListMultipartUploadsInput{Bucket: &s.Bucket}
	err := s.client().ListMultipartUploadsPagesWithContext(ctx, input, func(page *s3.ListMultipartUploadsOutput, _ bool) bool {
		for _, upload := range page.Uploads {
			keys = append(keys, *upload.Key)
		}
		return true
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return keys
}

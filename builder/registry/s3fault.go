package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/request"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

// A mistake is an error that lasts until somebody changes a setting, the bucket or the machine. Its text says what is wrong, where, and what to do.
type mistake struct {
	text  string
	cause error
}

func (m *mistake) Error() string { return fmt.Sprintf("%s (%s)", m.text, reason(m.cause)) }
func (m *mistake) Unwrap() error { return m.cause }

func isMistake(err error) bool {
	var m *mistake
	return errors.As(err, &m)
}

// explain turns an error of the bucket's into a mistake, or says that the bucket is away, which passes by itself: connections refused, time run out,
// names that do not resolve, answers of 5xx.
func (s S3) explain(err error) error {
	if text := s.advice(err); text != "" {
		return &mistake{text: text, cause: err}
	}
	return &absence{where: s, cause: err}
}

// An absence is an error that passes by itself.
type absence struct {
	where S3
	cause error
}

func (a *absence) Error() string {
	return fmt.Sprintf("%s does not answer as it should: %s", a.where, reason(a.cause))
}
func (a *absence) Unwrap() error { return a.cause }

// advice says what to do about a lasting error, and nothing about one that passes.
func (s S3) advice(err error) string {
	if text := s.certificateAdvice(err); text != "" {
		return text
	}
	known, ok := find[awserr.Error](err)
	if !ok {
		return ""
	}
	status := 0
	if failure, ok := find[awserr.RequestFailure](err); ok {
		status = failure.StatusCode()
	}
	// The codes are those of the S3 API reference, "Error responses".
	switch known.Code() {
	case "NoSuchBucket", "NotFound":
		return fmt.Sprintf("%s is not there: make it, or correct registry-s3-bucket", s)
	case "InvalidBucketName":
		return fmt.Sprintf("%s cannot be: correct registry-s3-bucket", s)
	case "AccessDenied", "Forbidden", "AllAccessDisabled":
		return fmt.Sprintf("%s refuses access: allow ListBucket and ListBucketMultipartUploads on the bucket, and GetObject, PutObject, DeleteObject, "+
			"ListMultipartUploadParts and AbortMultipartUpload on what is in it", s)
	case "InvalidAccessKeyId", "XAdminUserNotFound": // the latter is versitygw's
		return fmt.Sprintf("%s does not know the access key: correct registry-s3-access-key", s)
	case "SignatureDoesNotMatch":
		return fmt.Sprintf("%s does not take the secret key: correct registry-s3-secret-key", s)
	case "NoCredentialProviders":
		return fmt.Sprintf("%s needs keys and the machine has no role: set registry-s3-access-key and registry-s3-secret-key", s)
	case "BucketRegionError", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return fmt.Sprintf("%s is not in region %s: correct registry-s3-region", s, s.Region)
	case "RequestTimeTooSkewed":
		return fmt.Sprintf("%s has another time than this machine: set the machine's clock", s)
	case "MissingEndpoint", "UnknownEndpoint":
		return fmt.Sprintf("region %s is not known: correct registry-s3-region, or set registry-s3-endpoint", s.Region)
	case "NotImplemented", "MethodNotAllowed":
		return fmt.Sprintf("%s lacks an operation that a registry needs: use another server", s)
	case request.ErrCodeSerialization:
		if status < 500 {
			return fmt.Sprintf("what answers for %s is no S3 server: correct registry-s3-endpoint", s)
		}
	}
	if status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests {
		return fmt.Sprintf("%s refuses the registry: see the reason behind this, and mend the bucket or the registry-s3- settings", s)
	}
	return ""
}

// certificateAdvice is advice about an encrypted connection that cannot be. A certificate whose time is up is its server's trouble, and may be renewed
// there at any moment.
func (s S3) certificateAdvice(err error) string {
	if _, ok := find[x509.UnknownAuthorityError](err); ok {
		return fmt.Sprintf("the certificate of %s is of an unknown authority: name a file with the authority's certificate in AWS_CA_BUNDLE", s)
	}
	if _, ok := find[x509.HostnameError](err); ok {
		return fmt.Sprintf("the certificate of %s is another host's: correct registry-s3-endpoint", s)
	}
	_, plain := find[tls.RecordHeaderError](err)
	// net/http has no type for what it makes of a RecordHeaderError.
	if plain || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return fmt.Sprintf("what answers for %s does not encrypt: correct registry-s3-endpoint, perhaps to http://", s)
	}
	return ""
}

// find returns the outermost error of the type, also behind those of distribution and of the SDK, which do not unwrap.
func find[T error](err error) (found T, ok bool) {
	for err != nil {
		if errors.As(err, &found) {
			return found, true
		}
		err = behind(err)
	}
	return found, false
}

// behind returns what distribution or the SDK says was behind an error, nil for nothing.
func behind(err error) error {
	var driver storagedriver.Error
	if errors.As(err, &driver) {
		return driver.Detail
	}
	var sdk awserr.Error
	if errors.As(err, &sdk) {
		return sdk.OrigErr()
	}
	return nil
}

// reason returns the innermost words of an error, in one line: without the SDK's request numbers and the list of what wrapped it.
func reason(err error) string {
	for next := behind(err); next != nil; next = behind(err) {
		err = next
	}
	if failure, ok := find[awserr.Error](err); ok {
		return strings.Join(strings.Fields(failure.Code()+": "+failure.Message()), " ")
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

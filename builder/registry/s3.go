package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/distribution/distribution/v3/configuration"
	// The driver registers itself under the name "s3".
	_ "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws"
)

// Addressing is where a request names its bucket.
type Addressing string

// The ways to name a bucket. Auto is Path where an endpoint is named, as most servers other than Amazon's want it, else Virtual.
const (
	AddressingAuto    Addressing = ""
	AddressingPath    Addressing = "path"    // https://endpoint/bucket/key
	AddressingVirtual Addressing = "virtual" // https://bucket.endpoint/key
)

// defaultRegion is what requests to a named endpoint are signed for where no region is given. Servers other than Amazon's take it by default.
const defaultRegion = "us-east-1"

// copies is how many parts of 32 MiB a server is asked to copy at the same time for one blob. Distribution's own 100 would have a slow server answer
// each of them late.
const copies = 4

// An S3 says which bucket keeps a Registry's files. Several registries may share one: they keep the same blob once.
//
// The bucket's certificate is always verified. AWS_CA_BUNDLE in the environment names a file with the authorities to trust instead of the system's;
// the SDK puts them into net/http's DefaultClient, which it uses.
type S3 struct {
	// Bucket has to be there.
	Bucket string
	// Region is the bucket's, "eu-central-1". It may be empty where Endpoint is not.
	Region string
	// Endpoint is the server, "https://minio.internal:9000"; empty for Amazon's.
	Endpoint string
	// AccessKey and SecretKey are given both or neither. Without them the SDK looks for others: in the environment (AWS_ACCESS_KEY_ID and its
	// companions), in ~/.aws, and at the machine's or container's role.
	AccessKey, SecretKey string
	// Prefix is the folder inside the bucket, "vitrine/previews"; empty for the bucket's root.
	Prefix string
	// Addressing is how requests name the bucket.
	Addressing Addressing
}

// String returns the bucket and where it is, "bucket previews at https://minio.internal:9000".
func (s S3) String() string {
	where := s.Endpoint
	if where == "" {
		where = "Amazon S3 in " + s.Region
	}
	name := s.Bucket
	if s.Prefix != "" {
		name += "/" + s.Prefix
	}
	return fmt.Sprintf("bucket %s at %s", name, where)
}

// LogValue implements [slog.LogValuer]: it leaves the keys out.
func (s S3) LogValue() slog.Value { return slog.StringValue(s.String()) }

// folder is the form of a Prefix: what the driver takes for a path.
var folder = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$`)

// complete fills in what follows from the rest, or says what is wrong with the settings by themselves.
func (s S3) complete() (S3, error) {
	s.Prefix = strings.Trim(path.Clean("/"+s.Prefix), "/")
	switch {
	case s.Bucket == "":
		return s, errors.New("the registry's bucket has no name: set registry-s3-bucket")
	case strings.ContainsAny(s.Bucket, "/: \t"):
		return s, fmt.Errorf("%q is no name of a bucket: give registry-s3-bucket the name alone, and the server in registry-s3-endpoint", s.Bucket)
	case (s.AccessKey == "") != (s.SecretKey == ""):
		return s, fmt.Errorf("%s has one key without the other: set registry-s3-access-key and registry-s3-secret-key, or neither to use the machine's role", s)
	case s.Prefix != "" && !folder.MatchString(s.Prefix):
		return s, fmt.Errorf("%q is no folder of a bucket: use letters, digits, '.', '_', '-' and '/'", s.Prefix)
	}
	switch s.Addressing {
	case AddressingPath, AddressingVirtual:
	case AddressingAuto:
		s.Addressing = AddressingVirtual
		if s.Endpoint != "" {
			s.Addressing = AddressingPath
		}
	default:
		return s, fmt.Errorf("%q is no way to name a bucket: use %q or %q", s.Addressing, AddressingPath, AddressingVirtual)
	}
	if s.Endpoint == "" {
		if s.Region == "" {
			return s, fmt.Errorf("bucket %s has no region: set registry-s3-region, or registry-s3-endpoint where it is not Amazon's", s.Bucket)
		}
		return s, nil
	}
	if s.Region == "" {
		s.Region = defaultRegion
	}
	return s, checkEndpoint(s.Endpoint)
}

// checkEndpoint holds that the address is a server's and nothing more: of what follows the host, the driver would make a part of every key.
func checkEndpoint(endpoint string) error {
	const form = `registry-s3-endpoint is to be a server's address like "https://minio.internal:9000"`
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		// The parser's error repeats the address, which may hold a password.
		return errors.New(form)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Hostname() == "":
		return fmt.Errorf("%s, beginning with http:// or https://", form)
	case u.User != nil:
		return fmt.Errorf("%s, without a user: the keys have settings of their own", form)
	case strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("%s, without a path: the bucket has a setting of its own", form)
	}
	return nil
}

// parameters are the driver's (distribution, registry/storage/driver/s3-aws). Every S3 server knows its default storage class, and not every one knows
// that Amazon's is called STANDARD.
func (s S3) parameters() configuration.Parameters {
	p := configuration.Parameters{
		"bucket":                      s.Bucket,
		"region":                      s.Region,
		"rootdirectory":               s.Prefix,
		"forcepathstyle":              s.Addressing == AddressingPath,
		"storageclass":                "NONE",
		"multipartcopymaxconcurrency": copies,
	}
	if s.Endpoint != "" {
		p["regionendpoint"] = s.Endpoint
	}
	if s.AccessKey != "" {
		p["accesskey"], p["secretkey"] = s.AccessKey, s.SecretKey
	}
	return p
}

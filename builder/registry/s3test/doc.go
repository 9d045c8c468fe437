// Package s3test runs a real S3 server for tests: versitygw (https://github.com/versity/versitygw), which .ci/prepare installs. It keeps its objects in
// a folder of the test's own and listens on a loopback address.
package s3test

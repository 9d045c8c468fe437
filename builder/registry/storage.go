package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	// The driver registers itself under the name "filesystem".
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

const (
	// checkTime bounds each question whether the storage is there.
	checkTime = 8 * time.Second
	// tidyTime is what the end of a check may take on top.
	tidyTime = 2 * time.Second
	// home is where distribution keeps everything (registry/storage/paths.go).
	home = "/docker/registry/v2"
)

// A storage is where a Registry keeps its files: a folder, or a bucket where there is one.
type storage struct {
	root   string
	bucket *S3
}

// newStorage completes the settings, or says what is wrong with them by themselves.
func newStorage(config Config) (storage, error) {
	if config.S3 == nil {
		if config.Root == "" {
			return storage{}, errors.New("the registry has neither a folder nor a bucket")
		}
		return storage{root: config.Root}, nil
	}
	bucket, err := config.S3.complete()
	if err != nil {
		return storage{}, err
	}
	return storage{bucket: &bucket}, nil
}

func (s storage) String() string {
	if s.bucket != nil {
		return s.bucket.String()
	}
	return "folder " + s.root
}

// section is distribution's name for the storage's driver, with its parameters.
func (s storage) section() (name string, parameters configuration.Parameters) {
	if s.bucket != nil {
		return "s3", s.bucket.parameters()
	}
	return "filesystem", configuration.Parameters{"rootdirectory": s.root}
}

// open returns a driver. It asks a bucket nothing, so that one which is away can be opened as well.
func (s storage) open(ctx context.Context) (storagedriver.StorageDriver, error) {
	name, parameters := s.section()
	driver, err := factory.Create(ctx, name, parameters)
	if err == nil {
		return driver, nil
	}
	if s.bucket != nil {
		// What is left to go wrong is a region that the SDK has not heard of, which holds for regions younger than it.
		return nil, fmt.Errorf("open %s: %w; correct registry-s3-region, or name the region's server in registry-s3-endpoint", s, err)
	}
	return nil, fmt.Errorf("open the registry's folder %s: %w", s.root, err)
}

// reach asks for something small, and returns what keeps the storage from answering. It lists, as what the driver makes of a file's state takes headers
// for granted that only an S3 server sends.
func (s storage) reach(ctx context.Context, driver storagedriver.StorageDriver) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	if _, err := driver.List(ctx, home); err != nil && !errors.As(err, &storagedriver.PathNotFoundError{}) {
		return s.explain(err)
	}
	return nil
}

// try does with a small file all that a push and a removal do with a blob: it is begun, continued, completed, moved, read and removed.
func (s storage) try(ctx context.Context, driver storagedriver.StorageDriver) error {
	bounded, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	// Two checks at the same time have names of their own.
	begun := "/vitrine-check-" + secret()[:16]
	moved := begun + "-moved"
	err := tryFile(bounded, driver, begun, moved)
	// What there is to remove is removed, whatever went wrong and even when the time is over.
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	for _, path := range []string{begun, moved} {
		if gone := driver.Delete(tidy, path); gone != nil && !errors.As(gone, &storagedriver.PathNotFoundError{}) && err == nil {
			err = fmt.Errorf("remove a file: %w", gone)
		}
	}
	if err != nil {
		return s.explain(err)
	}
	return nil
}

// checkText is what a check writes.
var checkText = []byte("Vitrine asks whether it may write here.\n")

func tryFile(ctx context.Context, driver storagedriver.StorageDriver, begun, moved string) error {
	writer, err := driver.Writer(ctx, begun, false)
	if err != nil {
		return fmt.Errorf("begin an upload: %w", err)
	}
	if _, err := writer.Write(checkText); err != nil {
		return errors.Join(fmt.Errorf("write: %w", err), writer.Cancel(ctx))
	}
	if err := writer.Close(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if writer, err = driver.Writer(ctx, begun, true); err != nil {
		return fmt.Errorf("continue an upload: %w", err)
	}
	if err := writer.Commit(ctx); err != nil {
		return errors.Join(fmt.Errorf("complete an upload: %w", err), writer.Cancel(ctx))
	}
	if err := writer.Close(); err != nil {
		return fmt.Errorf("complete an upload: %w", err)
	}
	if err := driver.Move(ctx, begun, moved); err != nil {
		return fmt.Errorf("move a file: %w", err)
	}
	back, err := driver.GetContent(ctx, moved)
	if err != nil {
		return fmt.Errorf("read a file: %w", err)
	}
	if !bytes.Equal(back, checkText) {
		return fmt.Errorf("read a file: it came back as %d other bytes", len(back))
	}
	return nil
}

// examine returns why a bucket is away, nil where it is not, and an error for what lasts until somebody mends it. That a bucket answers and takes no
// files for the moment, as when it is full, is said in the log: what is in it can still be read and removed.
func (s storage) examine(ctx context.Context, driver storagedriver.StorageDriver, log *slog.Logger) (away, err error) {
	err = s.reach(ctx, driver)
	if err == nil {
		if err = s.try(ctx, driver); err != nil && !isMistake(err) && ctx.Err() == nil {
			log.WarnContext(ctx, "registry storage takes no files; pushes wait", "part", "registry", "error", err)
			return nil, nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("ask for %s: %w", s, context.Cause(ctx))
	case isMistake(err):
		return nil, err
	default:
		return err, nil
	}
}

// explain says what to do about an error of the storage.
func (s storage) explain(err error) error {
	if s.bucket != nil {
		return s.bucket.explain(err)
	}
	return &mistake{text: fmt.Sprintf("the registry's folder %s cannot be used: correct its owner and mode, or free space", s.root), cause: err}
}

// Check looks whether a Registry of this Config could work, and returns what it found, "bucket previews at https://minio.internal:9000 reads, writes
// and removes". What it writes to find out, it removes. The error says what to do. It takes some ten seconds at most.
func Check(ctx context.Context, config Config) (string, error) {
	s, err := newStorage(config)
	if err != nil {
		return "", err
	}
	if s.bucket == nil {
		return s.checkFolder()
	}
	driver, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	defer closeIdle()
	if err := s.reach(ctx, driver); err != nil {
		return "", err
	}
	if err := s.try(ctx, driver); err != nil {
		return "", err
	}
	return s.String() + " reads, writes and removes", nil
}

// checkFolder makes no folder: where there is none yet, it looks at the one in which Start would make it.
func (s storage) checkFolder() (string, error) {
	root, err := filepath.Abs(s.root)
	if err != nil {
		return "", fmt.Errorf("find the registry's folder: %w", err)
	}
	there := root
	for {
		_, err := os.Stat(there)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) || there == filepath.Dir(there) {
			return "", s.explain(err)
		}
		there = filepath.Dir(there)
	}
	file, err := os.CreateTemp(there, "vitrine-check-*")
	if err != nil {
		return "", s.explain(err)
	}
	_, err = file.Write(checkText)
	if err := errors.Join(err, file.Close(), os.Remove(file.Name())); err != nil {
		return "", s.explain(err)
	}
	if there != root {
		return fmt.Sprintf("folder %s can be made", root), nil
	}
	return fmt.Sprintf("folder %s can be written to", root), nil
}

// settings are those of a registry that forgets a tag when it is told to. There is no cache section: a descriptor remembered past a deletion would let
// a push skip a blob that is gone. Blobs are passed on instead of redirecting to a bucket that clients may be unable to reach.
func (s storage) settings() *configuration.Configuration {
	name, parameters := s.section()
	c := &configuration.Configuration{
		Storage: configuration.Storage{
			name:          parameters,
			"delete":      configuration.Parameters{"enabled": true},
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
			"redirect":    configuration.Parameters{"disable": true},
		},
	}
	c.HTTP.Secret = secret()
	c.Catalog.MaxEntries = 1000
	return c
}

// secret signs the state of uploads that clients carry from request to request. An upload does not outlive the process, so it is drawn anew.
func secret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never returns an error
	return hex.EncodeToString(b[:])
}

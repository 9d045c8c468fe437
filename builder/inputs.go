package builder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"
)

// maxInputs is how much of a build's files is read to tell whether they are unchanged, in bytes. Of more the engine is asked right away.
const maxInputs = 64 << 20

var errManyInputs = errors.New("the build's files are too many to be looked at")

// inputs returns a hash over everything that the engine is given for a build, but for the bases: whose it is, the Dockerfile, the arguments, and the
// files of each folder that BuildKit does not leave out. It returns nothing where that is not all that makes the image, or too much.
func (r *recipe) inputs(ctx context.Context, opt client.SolveOpt) (string, error) {
	if len(opt.Session)+len(opt.OCIStores)+len(opt.CacheImports)+len(opt.FrontendInputs) > 0 || opt.Frontend != "" {
		return "", nil
	}
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(opt.FrontendAttrs)) {
		fmt.Fprintf(h, "%q=%q\n", key, opt.FrontendAttrs[key])
	}
	left := int64(maxInputs)
	for _, name := range slices.Sorted(maps.Keys(opt.LocalMounts)) {
		fmt.Fprintf(h, "%q:\n", name)
		leave, err := r.excludes(name)
		if err != nil {
			return "", fmt.Errorf("read %s: %w", ignoreName, err)
		}
		files, err := fsutil.NewFilterFS(opt.LocalMounts[name], &fsutil.FilterOpt{ExcludePatterns: leave})
		if err != nil {
			return "", fmt.Errorf("look at the build's files: %w", err)
		}
		if err := hashFiles(ctx, h, files, &left); errors.Is(err, errManyInputs) {
			return "", nil
		} else if err != nil {
			return "", fmt.Errorf("look at the build's files: %w", err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hashFiles hashes what the engine makes of files: names, modes, links and contents, but neither times nor owners (BuildKit, cache/contenthash).
func hashFiles(ctx context.Context, h hash.Hash, files fsutil.FS, left *int64) error {
	return files.Walk(ctx, "", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*fstypes.Stat)
		if !ok {
			return fmt.Errorf("%s: nothing is known of it", path)
		}
		fmt.Fprintf(h, "%q %o %q %d\n", path, stat.Mode, stat.Linkname, stat.Size)
		if !info.Mode().IsRegular() {
			return nil
		}
		if *left -= info.Size(); *left < 0 {
			return errManyInputs
		}
		f, err := files.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(h, f)
		return errors.Join(err, f.Close())
	})
}

// excludes returns the patterns of the files of a mounted folder that the engine is not given. Where it is not plain that BuildKit will read the same list, it returns none.
func (r *recipe) excludes(mount string) ([]string, error) {
	named, isNamed := strings.CutPrefix(mount, mountNamed)
	folder := r.context
	switch {
	case isNamed:
		folder = r.contexts[named]
	case mount != mountContext:
		return nil, nil
	case r.ignore != nil:
		return ignorefile.ReadAll(bytes.NewReader(r.ignore))
	}
	name := filepath.Join(folder, ignoreName)
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return ignorefile.ReadAll(bytes.NewReader(text))
}

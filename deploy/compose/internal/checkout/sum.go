package checkout

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// What may be summed up in all: what is copied into a stack's containers at each deploy.
const (
	MaxCopied      = 256 << 20 // bytes
	MaxCopiedFiles = 20_000    // files, folders and links
)

// ErrTooLarge is what the *Problem of Sum is where the files are too many or too large.
var ErrTooLarge = errors.New("too large")

// A Tally counts what was summed up. The zero Tally has counted nothing.
type Tally struct {
	bytes int64
	files int
}

// Sum identifies what lies at the path, a file or a folder: a SHA-256, hexadecimal, over names, permission bits, contents, and what symbolic
// links say, which are not followed. A folder ".git" is passed over. What cannot be copied is a *Problem; beyond the bounds it wraps ErrTooLarge.
func (c *Checkout) Sum(name string, t *Tally) (string, error) {
	if _, err := c.walk(name); err != nil {
		return "", err
	}
	h := sha256.New()
	err := fs.WalkDir(c.root.FS(), name, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("look at %s: %w", at, err)
		}
		if entry.IsDir() && path.Base(at) == ".git" {
			return fs.SkipDir
		}
		if t.files++; t.files > MaxCopiedFiles {
			return tooLarge(name)
		}
		return c.sumEntry(h, name, at, entry, t)
	})
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (c *Checkout) sumEntry(h io.Writer, root, at string, entry fs.DirEntry, t *Tally) error {
	info, err := entry.Info()
	if err != nil {
		return fmt.Errorf("look at %s: %w", at, err)
	}
	name := at
	if root != "." {
		name = strings.TrimPrefix(at, root) // what the whole is called is no part of it
	}
	fmt.Fprintf(h, "%q %v ", name, info.Mode().Type()|info.Mode().Perm())
	switch {
	case info.IsDir():
		return nil
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := c.root.Readlink(at)
		if err != nil {
			return fmt.Errorf("read the link %s: %w", at, err)
		}
		fmt.Fprintf(h, "%q", target)
		return nil
	case !info.Mode().IsRegular():
		return &Problem{Reason: fmt.Sprintf("%s is neither file, folder nor link", printable(at))}
	}
	f, err := c.root.Open(at)
	if err != nil {
		return fmt.Errorf("open %s: %w", at, err)
	}
	defer f.Close()
	fmt.Fprintf(h, "%d ", info.Size())
	n, err := io.Copy(h, io.LimitReader(f, MaxCopied-t.bytes+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", at, err)
	}
	if t.bytes += n; t.bytes > MaxCopied {
		return tooLarge(root)
	}
	return nil
}

func tooLarge(name string) error {
	return &Problem{
		Reason: fmt.Sprintf("with %s more than %d files or %d MiB would be copied into the containers at each deploy. COPY it in the Dockerfile instead, or mount less of it",
			printable(name), MaxCopiedFiles, MaxCopied>>20),
		cause: ErrTooLarge,
	}
}

// Package checkout reads the files of a checkout, and nothing else.
package checkout

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"vitrine/deployments/repoconfig"
)

// MaxFile is the most bytes of a file that is read.
const MaxFile = 1 << 20

// A Problem says why a path of the checkout cannot be read, in words that the user can be told.
type Problem struct {
	Reason string
	cause  error
}

func (p *Problem) Error() string { return p.Reason }

// Unwrap returns fs.ErrNotExist where nothing lies at the path, ErrTooLarge, or nil.
func (p *Problem) Unwrap() error { return p.cause }

// A Checkout is a stranger's files. Nothing outside of it is ever opened, and no symbolic link is followed.
type Checkout struct{ root *os.Root }

// Open returns the checkout in dir, which the caller closes.
func Open(dir string) (*Checkout, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the checkout: %w", err)
	}
	return &Checkout{root}, nil
}

// Close lets go of the folder. The files stay.
func (c *Checkout) Close() error { return c.root.Close() }

// Has reports whether anything lies at the path, whatever it is.
func (c *Checkout) Has(name string) (bool, error) {
	_, err := c.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Read returns the content of a regular file. Where the path is the user's mistake, the error is a *Problem.
func (c *Checkout) Read(name string) ([]byte, error) {
	if err := c.IsFile(name); err != nil {
		return nil, err
	}
	f, err := c.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(content) > MaxFile {
		return nil, &Problem{Reason: fmt.Sprintf("%s is larger than 1 MiB", name)}
	}
	return content, nil
}

// IsFile returns a *Problem unless a regular file lies at the path.
func (c *Checkout) IsFile(name string) error {
	info, err := c.walk(name)
	if err == nil && !info.Mode().IsRegular() {
		return &Problem{Reason: fmt.Sprintf("%s is not a regular file", printable(name))}
	}
	return err
}

// IsDir returns a *Problem unless a folder lies at the path.
func (c *Checkout) IsDir(name string) error {
	info, err := c.walk(name)
	if err == nil && !info.IsDir() {
		return &Problem{Reason: fmt.Sprintf("%s is not a folder", printable(name))}
	}
	return err
}

// walk looks at each step of the path, since whoever opens it later may follow links.
func (c *Checkout) walk(name string) (fs.FileInfo, error) {
	if !filepath.IsLocal(name) || path.Clean(name) != name {
		return nil, &Problem{Reason: fmt.Sprintf("%s does not lie inside the repository", printable(name))}
	}
	steps := strings.Split(name, "/")
	for i := range steps {
		at := path.Join(steps[:i+1]...)
		info, err := c.root.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &Problem{Reason: fmt.Sprintf("%s is not in the repository", printable(name)), cause: fs.ErrNotExist}
		case errors.Is(err, syscall.ENAMETOOLONG):
			return nil, &Problem{Reason: fmt.Sprintf("%s is not in the repository: the name is too long", printable(name))}
		case err != nil:
			return nil, fmt.Errorf("look at %s: %w", at, err)
		case info.Mode()&fs.ModeSymlink != 0:
			return nil, &Problem{Reason: fmt.Sprintf("%s is a symbolic link, which is not followed; name the file itself", printable(at))}
		case i == len(steps)-1:
			return info, nil
		case !info.IsDir():
			return nil, &Problem{Reason: fmt.Sprintf("%s is not in the repository, since %s is not a folder", printable(name), printable(at))}
		}
	}
	return nil, &Problem{Reason: fmt.Sprintf("%s is not in the repository", printable(name))}
}

// printable prepares what a stranger wrote for a message.
func printable(s string) string { return repoconfig.Printable(s, 120) }

// Lies returns nil where a file, a folder or a link lies at the path and no link leads there, else a *Problem.
func (c *Checkout) Lies(name string) error {
	_, err := c.walk(name)
	return err
}

package compose

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
)

// maxFile is the most bytes of a file that is read.
const maxFile = 1 << 20

// errFile says why a path of the checkout cannot be read, in words that the user can be told.
type errFile struct{ reason string }

func (e *errFile) Error() string { return e.reason }

// A checkout is a stranger's files. Nothing outside of it is ever opened, and no symbolic link is followed.
type checkout struct{ root *os.Root }

func openCheckout(dir string) (*checkout, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the checkout: %w", err)
	}
	return &checkout{root}, nil
}

func (c *checkout) close() error { return c.root.Close() }

// has reports whether anything lies at the path, whatever it is.
func (c *checkout) has(name string) (bool, error) {
	_, err := c.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// read returns the content of a regular file. Where the path is the user's mistake, the error is an *errFile.
func (c *checkout) read(name string) ([]byte, error) {
	if err := c.isFile(name); err != nil {
		return nil, err
	}
	f, err := c.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(content) > maxFile {
		return nil, &errFile{fmt.Sprintf("%s is larger than 1 MiB", name)}
	}
	return content, nil
}

func (c *checkout) isFile(name string) error {
	info, err := c.walk(name)
	if err == nil && !info.Mode().IsRegular() {
		return &errFile{fmt.Sprintf("%s is not a regular file", shown(name))}
	}
	return err
}

func (c *checkout) isDir(name string) error {
	info, err := c.walk(name)
	if err == nil && !info.IsDir() {
		return &errFile{fmt.Sprintf("%s is not a folder", shown(name))}
	}
	return err
}

// walk looks at each step of the path, since whoever opens it later may follow links.
func (c *checkout) walk(name string) (fs.FileInfo, error) {
	if !filepath.IsLocal(name) || path.Clean(name) != name {
		return nil, &errFile{fmt.Sprintf("%s does not lie inside the repository", shown(name))}
	}
	steps := strings.Split(name, "/")
	for i := range steps {
		at := path.Join(steps[:i+1]...)
		info, err := c.root.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &errFile{fmt.Sprintf("%s is not in the repository", shown(name))}
		case errors.Is(err, syscall.ENAMETOOLONG):
			return nil, &errFile{fmt.Sprintf("%s is not in the repository: the name is too long", shown(name))}
		case err != nil:
			return nil, fmt.Errorf("look at %s: %w", at, err)
		case info.Mode()&fs.ModeSymlink != 0:
			return nil, &errFile{fmt.Sprintf("%s is a symbolic link, which is not followed; name the file itself", shown(at))}
		case i == len(steps)-1:
			return info, nil
		case !info.IsDir():
			return nil, &errFile{fmt.Sprintf("%s is not in the repository, since %s is not a folder", shown(name), shown(at))}
		}
	}
	return nil, &errFile{fmt.Sprintf("%s is not in the repository", shown(name))}
}

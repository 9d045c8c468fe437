package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// lockFile is the name of the file in the data folder that is locked while a process has the folder open. It holds that process's ID.
const lockFile = "lock"

// lockFolder makes the data folder where it is missing and locks it. The kernel gives the lock back when the process dies.
func lockFolder(dir string) (*flock.Flock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w; let this user write there, or name another with --data", err)
	}
	file := filepath.Join(dir, lockFile)
	lock := flock.New(file, flock.SetPermissions(0o600), flock.SetFlag(os.O_CREATE|os.O_RDWR))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
	}
	if !locked {
		return nil, fmt.Errorf("data folder %s is in use by another Vitrine%s; stop it or give this one another folder with --data", dir, holder(file))
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write %s: %w", file, errors.Join(err, lock.Unlock()))
	}
	return lock, nil
}

// holder returns " (process 123)", or nothing where the file does not say.
func holder(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}

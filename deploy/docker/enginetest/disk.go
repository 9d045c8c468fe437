package enginetest

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// chunk is how much of the disk is filled at a time.
const chunk = 64 << 10

// FillDisk leaves about that many bytes of the engine's disk. It needs [WithDisk], as it would fill the machine's otherwise.
func (e *Engine) FillDisk(leave int64) {
	e.t.Helper()
	if e.disk == 0 {
		e.t.Fatal("only a disk of the engine's own can be filled")
	}
	f, err := os.OpenFile(e.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		e.t.Fatal(err)
	}
	defer f.Close()
	for zeros := make([]byte, chunk); ; {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(e.path("data"), &fs); err != nil {
			e.t.Fatal(err)
		}
		more := min(int64(fs.Bavail)*fs.Bsize-leave, chunk)
		if more <= 0 {
			return
		}
		if _, err := f.Write(zeros[:more]); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			e.t.Fatal(err)
		}
	}
}

// FreeDisk undoes FillDisk.
func (e *Engine) FreeDisk() {
	e.t.Helper()
	if err := os.Remove(e.ballast()); err != nil {
		e.t.Fatal(err)
	}
}

func (e *Engine) ballast() string { return filepath.Join(e.path("data"), "ballast") }

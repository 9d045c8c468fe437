package enginetest_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"vitrine/deploy/docker/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answers reports whether the engine answers.
func answers(e *enginetest.Engine) bool {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(e.Host, "unix://"))
		},
	}}
	resp, err := client.Get("http://engine/_ping")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func TestEngine(t *testing.T) {
	t.Parallel()
	var dir string
	t.Run("lives", func(t *testing.T) {
		e := enginetest.Start(t)
		dir = filepath.Dir(strings.TrimPrefix(e.Host, "unix://"))
		for what, end := range map[string]func(){"stop": e.Stop, "kill": e.Kill} {
			if !answers(e) {
				t.Errorf("the engine does not answer before %s", what)
			}
			end()
			if answers(e) {
				t.Errorf("the engine answers after %s", what)
			}
			e.Restart()
		}
		e.Restart()
		if !answers(e) {
			t.Error("the engine does not answer after a restart while it ran")
		}
	})
	holdGone(t, dir)
}

func TestDisk(t *testing.T) {
	t.Parallel()
	const size, left = 8 << 20, 1 << 20
	var dir string
	t.Run("fills", func(t *testing.T) {
		e := enginetest.Start(t, enginetest.WithDisk(size))
		dir = filepath.Dir(strings.TrimPrefix(e.Host, "unix://"))
		free := func() int64 {
			var fs syscall.Statfs_t
			if err := syscall.Statfs(filepath.Join(dir, "data"), &fs); err != nil {
				t.Fatal(err)
			}
			return int64(fs.Bavail) * fs.Bsize
		}
		e.FillDisk(left)
		if got := free(); got > left {
			t.Errorf("%d bytes are free, want %d at most", got, left)
		}
		e.FreeDisk()
		if got := free(); got <= left || got > size {
			t.Errorf("%d bytes are free again, want more than %d and no more than %d", got, left, size)
		}
	})
	holdGone(t, dir)
}

// holdGone holds that neither folder nor mount is left.
func holdGone(t *testing.T, dir string) {
	t.Helper()
	if dir == "" {
		t.Skip("no engine was started")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the engine's folder is left: %v", err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), dir+"/") {
		t.Error("the engine's mounts are left")
	}
}

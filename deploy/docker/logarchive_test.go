package docker

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

// fill writes a kept log of n lines of a hundred bytes, which name the log.
func (a *archive) fill(t *testing.T, environment string, number, n int) {
	t.Helper()
	at := time.Date(2026, 11, 21, 14, number, 0, 0, time.UTC)
	name := fmt.Sprintf("%s-%012d-web%s", at.Format(stampFormat), number, logSuffix)
	err := a.write(environment, name, func(w io.Writer) error {
		fmt.Fprintf(w, "%s%d\n", archiveHead, number)
		for i := range n {
			l := deployments.LogLine{At: at.Add(time.Duration(i)), Text: fmt.Sprintf("%d/%d ", number, i)}
			l.Text += strings.Repeat("x", 101-len(formatLine(l))-1)
			if _, err := io.WriteString(w, formatLine(l)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// holds returns the first and the last line of each log that is kept of an environment.
func (a *archive) holds(t *testing.T, environment string) (ends []string) {
	t.Helper()
	lines, err := a.read(deployments.LogQuery{Environment: environment}, 1<<20, func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range lines {
		if i == 0 || lines[i-1].Deployment != l.Deployment || i == len(lines)-1 || lines[i+1].Deployment != l.Deployment {
			ends = append(ends, strings.Trim(l.Text, " x"))
		}
	}
	return ends
}

func TestArchiveBudgets(t *testing.T) {
	a := &archive{dir: filepath.Join(t.TempDir(), "output"), each: 2500, total: 4000}
	want := func(what, environment string, ends ...string) {
		t.Helper()
		if diff := cmp.Diff(ends, a.holds(t, environment)); diff != "" {
			t.Errorf("%s, of %s (-want +got):\n%s", what, environment, diff)
		}
	}
	a.fill(t, "a", 1, 10)
	a.fill(t, "a", 2, 10)
	want("two fit", "a", "1/0", "1/9", "2/0", "2/9")
	a.fill(t, "a", 3, 10)
	want("a third takes the oldest's place", "a", "2/0", "2/9", "3/0", "3/9")
	a.fill(t, "b", 4, 1000)
	want("of a big one the end is kept", "b", "4/976", "4/999")
	want("and takes others' place", "a", "3/0", "3/9")
	a.fill(t, "b", 5, 0)
	want("nothing printed, nothing kept", "b", "4/976", "4/999")
	var sum int64
	for _, environment := range []string{"a", "b", "c"} {
		n, err := a.size(environment)
		if err != nil || n > a.each {
			t.Errorf("%s has %d bytes, %v", environment, n, err)
		}
		sum += n
	}
	if sum == 0 || sum > a.total {
		t.Errorf("%d bytes are kept", sum)
	}
	if left, err := filepath.Glob(filepath.Join(a.dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestArchiveClear(t *testing.T) {
	dir := t.TempDir()
	half := filepath.Join(dir, unfinished+"1")
	if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&archive{dir: dir}).clear(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(half); !os.IsNotExist(err) {
		t.Errorf("what was not finished: %v, want that it is gone", err)
	}
}

func TestArchiveRefuses(t *testing.T) {
	a := &archive{dir: t.TempDir(), each: 1 << 20, total: 1 << 20}
	for _, environment := range []string{"", ".", "..", "../a", "a/b", "/etc"} {
		if err := a.write(environment, "x.log", func(io.Writer) error { return nil }); err == nil {
			t.Errorf("%q was taken for a name", environment)
		}
	}
	a.fill(t, "a", 1, 1)
	logs, err := keptLogs(filepath.Join(a.dir, "a"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	if err := os.WriteFile(logs[0].path, []byte("# vitrine log 2, deployment 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = a.read(deployments.LogQuery{Environment: "a"}, 10, func(string) bool { return false })
	if err == nil || !strings.Contains(err.Error(), logs[0].path) {
		t.Errorf("a log of another version: %v, want an error that names it", err)
	}
}

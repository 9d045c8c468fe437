package checkout

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// sumOf sums up a folder with the files, at the path.
func sumOf(t *testing.T, at string, files map[string]string, change func(dir string)) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if change != nil {
		change(dir)
	}
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sum, err := c.Sum(at, &Tally{})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestSum(t *testing.T) {
	files := map[string]string{"in/a": "1", "in/b/c": "2", "other": "3"}
	before := sumOf(t, "in", files, nil)
	for name, test := range map[string]struct {
		files  map[string]string
		change func(dir string)
		same   bool
	}{
		"the same":             {files: files, same: true},
		"something beside it":  {files: map[string]string{"in/a": "1", "in/b/c": "2", "other": "4"}, same: true},
		"its .git":             {files: map[string]string{"in/a": "1", "in/b/c": "2", "in/.git/HEAD": "x"}, same: true},
		"another content":      {files: map[string]string{"in/a": "2", "in/b/c": "2"}},
		"another name":         {files: map[string]string{"in/A": "1", "in/b/c": "2"}},
		"the same, elsewhere":  {files: map[string]string{"in/a": "1", "in/c/c": "2"}},
		"contents that swap":   {files: map[string]string{"in/a": "2", "in/b/c": "1"}},
		"one more":             {files: map[string]string{"in/a": "1", "in/b/c": "2", "in/d": ""}},
		"another mode":         {files, func(dir string) { _ = os.Chmod(filepath.Join(dir, "in/a"), 0o755) }, false},
		"an empty folder more": {files, func(dir string) { _ = os.Mkdir(filepath.Join(dir, "in/e"), 0o755) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			if same := sumOf(t, "in", test.files, test.change) == before; same != test.same {
				t.Errorf("the sum is the same: %v", same)
			}
		})
	}
	if sumOf(t, ".", map[string]string{"a": "1"}, nil) == sumOf(t, ".", map[string]string{"b": "1"}, nil) {
		t.Error("names of the whole checkout do not count")
	}
}

func TestSumHasBounds(t *testing.T) {
	dir := t.TempDir()
	large, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(large.Truncate(MaxCopied+1), large.Close()); err != nil {
		t.Fatal(err)
	}
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Sum("large", &Tally{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a large file: %v", err)
	}
	if _, err := c.Sum(".", &Tally{files: MaxCopiedFiles}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("many files: %v", err)
	}
	if _, err := c.Sum("gone", &Tally{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
	var problem *Problem
	for _, name := range []string{"..", "../" + filepath.Base(dir), "/etc/passwd", ""} {
		if _, err := c.Sum(name, &Tally{}); !errors.As(err, &problem) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

package sqlite

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSeal(t *testing.T) {
	dir := t.TempDir()
	s := must(openSeal(dir))
	again := must(openSeal(dir))
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "plain")
		name, other := rapid.String().Draw(t, "name"), rapid.String().Draw(t, "other name")
		sealed := s.close(plain, name)
		if opened, err := again.open(sealed, name); err != nil || !bytes.Equal(opened, plain) {
			t.Fatalf("%q came back as %q: %v", plain, opened, err)
		}
		if len(plain) > 3 && bytes.Contains(sealed, plain) {
			t.Fatalf("%q stands in what was sealed", plain)
		}
		if bytes.Equal(sealed, s.close(plain, name)) {
			t.Fatal("what is sealed twice looks the same")
		}
		if _, err := s.open(sealed, other); (err == nil) != (name == other) {
			t.Fatalf("sealed as %q it opens as %q: %v", name, other, err)
		}
		i := rapid.IntRange(0, len(sealed)-1).Draw(t, "byte")
		sealed[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := s.open(sealed, name); err == nil && sealed[0] != '{' {
			t.Fatalf("it opens with another byte %d", i)
		}
	})
	if _, err := must(openSeal(t.TempDir())).open(s.close([]byte("x"), "n"), "n"); err == nil {
		t.Error("another key opens it")
	}
}

func TestSealKeyFile(t *testing.T) {
	dir := t.TempDir()
	must(openSeal(dir))
	file := filepath.Join(dir, keyFile)
	info := must(os.Stat(file))
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %o", info.Mode().Perm())
	}
	if entries := must(os.ReadDir(dir)); len(entries) != 1 {
		t.Errorf("beside the key there are %v", entries)
	}
	if err := os.WriteFile(file, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openSeal(dir); err == nil || !strings.Contains(err.Error(), "from a backup") {
		t.Errorf("a bad key: %v", err)
	}
}

// A database does not go on with a key that is not its own, whether that was lost or replaced.
func TestOpenHoldsTheKey(t *testing.T) {
	dir := t.TempDir()
	must(Open(t.Context(), dir, options(&clock{now: start}))).Close()
	key := must(os.ReadFile(filepath.Join(dir, keyFile)))
	for name, change := range map[string]func() error{
		"lost": func() error { return os.Remove(filepath.Join(dir, keyFile)) },
		"another": func() error {
			other := make([]byte, keySize)
			rand.Read(other)
			return os.WriteFile(filepath.Join(dir, keyFile), []byte(hex.EncodeToString(other)), 0o600)
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), dir, options(&clock{now: start})); err == nil || !strings.Contains(err.Error(), "encrypted with another key") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, keyFile), key, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := must(Open(t.Context(), dir, options(&clock{now: start}))).Close(); err != nil {
		t.Error(err)
	}
}

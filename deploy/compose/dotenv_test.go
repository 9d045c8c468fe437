package compose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadEnvFile(t *testing.T) {
	t.Setenv("HOME_OF_THE_PROCESS", "/root")
	const file = "# A comment\nexport A=one\nB='$A'\nC=\"${A}s and\ttabs\"\nD=${HOME_OF_THE_PROCESS}\nE=\n"
	got, err := ReadEnvFile(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"A": "one", "B": "$A", "C": "ones and\ttabs", "D": "", "E": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := ReadEnvFile(strings.NewReader("A=\"open")); err == nil {
		t.Error("a quote that is never closed is taken")
	}
}

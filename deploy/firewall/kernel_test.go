//go:build linux

package firewall

import (
	"errors"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// inNamespace runs the rest of the test in a network namespace of its own. The test's thread is not used for anything else after it.
func inNamespace(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("make a network namespace, which needs root: %v", err)
	}
}

// nft runs the nft command, and returns what it printed.
func nft(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "nft", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func apply(t *testing.T, p Policy, want bool) {
	t.Helper()
	if changed, err := Apply(p); err != nil || changed != want {
		t.Fatalf("Apply: changed %t, %v, want %t", changed, err, want)
	}
}

// What nft reads from the kernel is what the rules are by their text.
func TestApply(t *testing.T) {
	for name, p := range policies() {
		t.Run(name, func(t *testing.T) {
			inNamespace(t)
			apply(t, p, true)
			want := newTable(p)
			if diff := cmp.Diff(want.String(), nft(t, "--stateless", "list", "table", "inet", want.name)); diff != "" {
				t.Errorf("the kernel's rules (-want +got):\n%s", diff)
			}
			apply(t, p, false)
		})
	}
}

// Whatever was done to the table, Apply notices and mends it, and leaves other tables alone.
func TestApplyMends(t *testing.T) {
	inNamespace(t)
	p := policies()["full"]
	const name = "vitrine_my_instance"
	nft(t, "add table inet vitrine_other; add chain inet vitrine_other input { type filter hook input priority filter; }")
	apply(t, p, true)
	for what, command := range map[string]string{
		"the table is gone":    "delete table inet " + name,
		"a chain is empty":     "flush chain inet " + name + " previews_beyond",
		"no chain has a rule":  "flush table inet " + name,
		"a rule is first":      "insert rule inet " + name + " previews_to_host accept",
		"a rule is last":       "add rule inet " + name + " forward accept",
		"a chain is one more":  "add chain inet " + name + " more",
		"the rules are others": "flush chain inet " + name + " builds_to_host; add rule inet " + name + " builds_to_host accept",
	} {
		nft(t, command)
		if changed, err := Apply(p); err != nil || !changed {
			t.Errorf("%s: Apply: changed %t, %v", what, changed, err)
		}
		apply(t, p, false)
	}
	apply(t, policies()["least"], true)
	p.BuildBridge = ""
	apply(t, p, true)
	if got := nft(t, "list", "tables"); strings.Count(got, "\n") != 3 || !strings.Contains(got, "vitrine_other") {
		t.Errorf("the tables are %s", got)
	}
	for range 2 {
		if err := Remove(p.Instance); err != nil {
			t.Fatal(err)
		}
	}
	if got := nft(t, "list", "tables"); strings.Contains(got, name) || strings.Count(got, "\n") != 2 {
		t.Errorf("after Remove the tables are %s", got)
	}
}

// Without CAP_NET_ADMIN the error says so.
func TestApplyWithoutPermission(t *testing.T) {
	inNamespace(t)
	capabilities := []unix.CapUserData{{}, {}}
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &capabilities[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(policies()["least"]); !errors.Is(err, unix.EPERM) {
		t.Errorf("Apply: %v, want EPERM", err)
	}
}

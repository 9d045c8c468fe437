package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"vitrine/deployments"
)

// acceptInto names the variable that makes the test binary accept deliveries into a data folder until it is killed.
const acceptInto = "VITRINE_TEST_ACCEPT_INTO"

// acceptForever has several accept at once, so that they share transactions, and prints each GUID once Accept has returned.
func acceptForever(dir string) {
	s, err := Open(context.Background(), dir, Options{Lifetime: lifetime})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var last atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				acceptAndPrint(s, int(last.Add(1)))
			}
		})
	}
	all.Wait()
}

func acceptAndPrint(s *Store, i int) {
	d := deployments.Delivery{
		GUID: fmt.Sprintf("guid-%d", i), Event: "push", Wants: []deployments.Want{push(pull(i%7+1), commit(i, "login"))},
		Requests: []deployments.Request{{Origin: pull(i%7 + 1), Payload: []byte(`{}`)}},
	}
	if _, err := s.Accept(context.Background(), d); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(d.GUID)
}

func TestWhatWasAcceptedOutlivesAKilledProcess(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, deliveries := range []int{1, 20, 57, 400} {
		printed := acceptUntilKilled(t, binary, dir, deliveries)
		s, err := Open(t.Context(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		f := &fixture{t, s, nil}
		guids := must(f.guids(t.Context()))
		for _, guid := range printed {
			if !slices.Contains(guids, guid) {
				t.Errorf("%s was accepted, and is lost", guid)
			}
		}
		requests := 0
		f.ok(s.reader.QueryRow(`SELECT count(*) FROM requests`).Scan(&requests))
		if requests != len(guids) {
			t.Errorf("%d requests of %d deliveries: a transaction was torn", requests, len(guids))
		}
		// The next round begins with GUIDs that are there already.
		f.ok(s.Close())
	}
}

// acceptUntilKilled starts a process that accepts, kills it once it has printed some GUIDs, and returns all that it printed.
func acceptUntilKilled(t *testing.T, binary, dir string, deliveries int) (printed []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = append(os.Environ(), acceptInto+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		printed = append(printed, lines.Text())
		if len(printed) == deliveries {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the process ended by itself")
	}
	if len(printed) < deliveries {
		t.Fatalf("the process printed %d GUIDs before it was killed, want %d", len(printed), deliveries)
	}
	return printed
}

func (s *Store) guids(ctx context.Context) (list []string, err error) {
	err = s.view(ctx, func(t *tx) error {
		list, err = all(ctx, t, value[string], `SELECT guid FROM deliveries`)
		return err
	})
	return list, err
}

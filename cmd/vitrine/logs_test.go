package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
	"vitrine/deployments/web"
)

// What services print is followed over a push, and read when the preview is gone; secret values are masked in it. Meanwhile it is measured what it takes.
func TestLogsCommand(t *testing.T) {
	t.Parallel() // it waits for most of its time
	const secret, branch = "sk_live_0d1e2f3a4b", "chatter"
	w := openInputs(t)
	command(t, "env", "set", inputs, "STRIPE_KEY="+secret, "--data="+w.data).says(t, exitOK, "Set for acme/inputs: STRIPE_KEY.")
	number := w.propose(branch, map[string]string{
		"compose.yaml": chatterCompose("one"), "chatter": testProgram(t, "chatter"),
		"Dockerfile": "FROM " + w.base + "\nCOPY --chmod=755 chatter /chatter\n",
	})
	name := fmt.Sprintf("inputs-pr-%d", number)
	logs := func(args ...string) outcome {
		return command(t, append([]string{"logs", name, "--data=" + w.data}, args...)...)
	}
	w.eventually("the preview is live", func() bool { return w.isLive(name) })
	for _, args := range [][]string{nil, {"web"}, {"--tail=20"}, {"--since=1h"}} {
		logs(args...).says(t, exitOK, "  web  one, of ***\n")
	}
	logs("--json").says(t, exitOK, `"service":"web","deployment":`, `"text":"one, of ***"}`)
	if o := logs("nobody"); o.code != exitOK || o.out != "" || !strings.Contains(o.err, "nobody of "+name+" has printed nothing") {
		t.Errorf("of no service: %+v", o)
	}
	w.holdUsage(name)

	following, printed := w.follow("logs", name, "--follow", "--data="+w.data)
	w.eventually("it follows", func() bool { return strings.Contains(printed.String(), "  web  one, of ***\n") })
	_, err := w.github.Commit(t.Context(), githubsim.Change{
		Repository: inputs, Branch: branch, Author: sample.Developer, Files: map[string]string{"compose.yaml": chatterCompose("two")},
	})
	w.must(err)
	w.eventually("the new version is followed", func() bool { return strings.Contains(printed.String(), "  web  two, of ***\n") })
	w.settled()
	w.must(w.github.ClosePullRequest(inputs, number, sample.Developer))
	w.settled()
	if code := following(); code != exitOK {
		t.Errorf("whoever follows and ends it exits with %d", code)
	}

	gone := logs()
	gone.says(t, exitOK, "  web  one, of ***\n", "  web  two, of ***\n")
	if diff := cmp.Diff(printed.String(), gone.out); diff != "" {
		t.Errorf("followed and read when it is gone (-followed +read):\n%s", diff)
	}
	if strings.Contains(gone.out+printed.String(), secret) {
		t.Errorf("the secret is shown:\n%s%s", printed, gone.out)
	}

	// Whoever follows holds nobody up who stops the server.
	following, printed = w.follow("logs", name, "-f", "--data="+w.data)
	w.eventually("it follows what is gone", func() bool { return strings.Contains(printed.String(), "two") })
	w.stop()
	w.eventually("it is told of the end", func() bool { return strings.Contains(printed.String(), "vitrine: the server stops\n") })
	if code := following(); code != exitFailed {
		t.Errorf("whoever follows a server that stops exits with %d", code)
	}
}

func chatterCompose(word string) string {
	return "services:\n  web:\n    build: .\n    command: [/chatter, " + word + "]\n    ports: [\"8080\"]\n"
}

// isLive reports whether an environment has a live deployment.
func (w *world) isLive(name string) bool {
	w.Helper()
	return query[int](w, `SELECT COALESCE(live, 0) FROM environments WHERE name = ?`, name) > 0
}

// follow begins a command that goes on until the function that it returns is called, which returns the exit code.
func (w *world) follow(args ...string) (end func() int, printed *transcript) {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	printed, ended := &transcript{}, make(chan int, 1)
	go func() { ended <- run(ctx, args, printed, printed) }()
	end = func() int {
		cancel()
		code := <-ended
		ended <- code
		return code
	}
	w.Cleanup(func() { end() })
	return end, printed
}

// holdUsage checks what the one preview takes.
func (w *world) holdUsage(name string) {
	w.Helper()
	o := command(w.T, "usage", "--json", "--data="+w.data)
	var list web.UsageList
	if err := json.Unmarshal([]byte(o.out), &list); err != nil || len(list.Environments) != 1 {
		w.Fatalf("the usage is %+v: %v", o, err)
	}
	u := list.Environments[0]
	if u.Environment != name || u.Containers != 1 || u.Memory < 100<<10 || u.Memory > 1<<30 || u.Disk.Logs <= 0 || u.Disk.At.IsZero() {
		w.Errorf("it takes %+v", u)
	}
	command(w.T, "usage", name, "--data="+w.data).says(w.T, exitOK, "PREVIEW", "RUNNING", name, "iB")
}

func TestLogsAndUsageOfNothing(t *testing.T) {
	data := "--data=" + withServer(t, testSettings(t))
	command(t, "logs", "shop-pr-1", data).says(t, exitNotFound, `there is no preview "shop-pr-1"`, "as in shop-pr-42")
	command(t, "logs", "../../etc", data).says(t, exitNotFound, "there is no preview")
	command(t, "usage", "shop-pr-1", data).says(t, exitNotFound, `there is no preview "shop-pr-1"`)
	command(t, "usage", data).says(t, exitFailed, "the Docker engine is away")
	command(t, "logs", data).says(t, exitUsage, "expected \"<name>\"")
	command(t, "logs", "shop-pr-1", "--tail=-1", data).says(t, exitUsage, "no fewer than 0 lines")
	command(t, "logs", "shop-pr-1", "--since=yesterday", data).says(t, exitUsage, "--since=yesterday is neither a duration")
	command(t, "logs", "shop-pr-1", "--data="+t.TempDir()).says(t, exitFailed, "no Vitrine serves from")
}

func TestLogsQuery(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.FixedZone("", 3600))
	for name, test := range map[string]struct {
		command logsCommand
		want    url.Values
	}{
		"everything": {logsCommand{}, url.Values{"follow": {"false"}, "tail": {"0"}}},
		"a part": {logsCommand{Service: "web", Tail: 5, Follow: true, Since: "90m"},
			url.Values{"follow": {"true"}, "tail": {"5"}, "service": {"web"}, "since": {"2026-11-21T06:30:00Z"}}},
		"since a time": {logsCommand{Since: "2026-11-21T08:15:00.5+01:00"}, url.Values{"follow": {"false"}, "tail": {"0"}, "since": {"2026-11-21T07:15:00.5Z"}}},
	} {
		got, err := test.command.query(now)
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: %s%v", name, diff, err)
		}
	}
}

// What the server sends is printed in columns, and what it says at the end is the error.
func TestLogsPrint(t *testing.T) {
	var out, errs transcript
	c := &logsCommand{Name: "shop-pr-1"}
	answer := `{"at":"2026-11-21T08:15:00.25Z","service":"web","text":"a"}` + "\n" + `{"at":"2026-11-21T08:15:01Z","service":"worker","text":"b"}` + "\n" +
		`{"at":"2026-11-21T08:15:02Z","service":"web","text":"c"}` + "\n" + `{"problem":{"status":503,"detail":"the server stops"}}`
	if err := c.print(strings.NewReader(answer), console{&out, &errs}); err == nil || err.Error() != "the server stops" {
		t.Errorf("the error is %v", err)
	}
	at := func(text string) string {
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed.Local().Format(lineTime)
	}
	want := at("2026-11-21T08:15:00.25Z") + "  web  a\n" + at("2026-11-21T08:15:01Z") + "  worker  b\n" + at("2026-11-21T08:15:02Z") + "  web     c\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	for _, broken := range []string{`{"at":`, `{}`, `[]`} {
		if err := c.print(strings.NewReader(broken), console{io.Discard, &errs}); err == nil {
			t.Errorf("%s was taken for an answer", broken)
		}
	}
}

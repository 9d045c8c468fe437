package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"vitrine/cmd/internal/loopback"
	"vitrine/deploy"
)

// A demoProcess is the built binary with `vitrine demo`, and a temporary folder of its own.
type demoProcess struct {
	*testing.T
	tmp     string
	printed *transcript
	process *exec.Cmd
	exited  chan error

	instance, base string // its names on the engine, once known
}

// startDemo starts a demo at ports that are free.
func startDemo(t *testing.T, args ...string) *demoProcess {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a Docker engine")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	d := &demoProcess{T: t, tmp: t.TempDir(), printed: &transcript{}, exited: make(chan error, 1)}
	args = append([]string{"demo", fmt.Sprintf("--port=%d", freePort(t)), fmt.Sprintf("--github-port=%d", freePort(t))}, args...)
	d.process = exec.Command(path, args...)
	d.process.Env = append(os.Environ(), "TMPDIR="+d.tmp)
	d.process.Stdout, d.process.Stderr = d.printed, d.printed
	d.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.exited <- d.process.Wait() }()
	t.Cleanup(func() {
		if len(d.exited) == 0 {
			d.process.Process.Signal(os.Interrupt)
		}
		d.wait()
		if t.Failed() {
			t.Logf("the demo printed:\n%s", d.printed)
		}
	})
	return d
}

// wait returns what the process ended with, also when called again.
func (d *demoProcess) wait() error {
	d.Helper()
	select {
	case err := <-d.exited:
		d.exited <- err
		return err
	case <-time.After(2 * patience):
		d.process.Process.Kill()
		d.Fatal("the demo did not end")
		return nil
	}
}

// says waits until the demo printed what the pattern matches, and returns the match.
func (d *demoProcess) says(pattern string) []string {
	d.Helper()
	var found []string
	eventually(d.T, "the demo prints "+pattern, func() bool {
		found = regexp.MustCompile(pattern).FindStringSubmatch(d.printed.String())
		if found == nil && len(d.exited) > 0 {
			d.Fatalf("the demo ended without printing %s", pattern)
		}
		return found != nil
	})
	return found
}

// learn finds out the demo's names on the engine from its folder.
func (d *demoProcess) learn() {
	d.Helper()
	eventually(d.T, "the demo's folder has its records and its repository", func() bool {
		databases, _ := filepath.Glob(filepath.Join(d.tmp, "vitrine-demo-*", "data", "vitrine.db"))
		if len(databases) != 1 {
			return false
		}
		db, err := sql.Open("sqlite", "file:"+databases[0]+"?mode=ro&_pragma=busy_timeout(5000)")
		if err != nil {
			d.Fatal(err)
		}
		defer db.Close()
		if db.QueryRow(`SELECT instance FROM store`).Scan(&d.instance) != nil {
			return false // the demo has only just made the file
		}
		// The simulated GitHub names a folder by the repository's number, and makes one for each.
		repositories, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(databases[0])), "github", "*.git"))
		for _, repository := range repositories {
			out, err := exec.CommandContext(d.Context(), "git", "--git-dir", repository, "show", "main:compose.yaml").Output()
			if found := regexp.MustCompile(`vitrine-demo-[0-9a-f]+:base`).Find(out); err == nil && found != nil {
				d.base = string(found)
			}
		}
		return d.base != ""
	})
}

// interrupt presses Ctrl-C, and checks that the demo ends well.
func (d *demoProcess) interrupt() {
	d.Helper()
	if err := d.process.Process.Signal(os.Interrupt); err != nil {
		d.Fatal(err)
	}
	if err := d.wait(); err != nil {
		d.Errorf("after Ctrl-C the demo ends with %v", err)
	}
	if !strings.HasSuffix(d.printed.String(), "\n\nRemoving everything.\n") {
		d.Error("the demo does not say that it removes everything, or says more")
	}
}

// leftNothing checks that nothing of the demo is on the engine or in the temporary folder.
func (d *demoProcess) leftNothing() {
	d.Helper()
	if objects := d.objects(); len(objects) > 0 {
		d.Errorf("the demo left %q", objects)
	}
	if files, err := os.ReadDir(d.tmp); err != nil || len(files) > 0 {
		d.Errorf("the demo left %v in the temporary folder (%v)", files, err)
	}
}

// objects lists what the engine has of the demo.
func (d *demoProcess) objects() (names []string) {
	d.Helper()
	ctx := context.Background()
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	d.must(err)
	defer engine.Close()
	ours := filters.NewArgs(filters.Arg("label", deploy.LabelInstance+"="+d.instance))
	containers, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: ours})
	d.must(err)
	for _, c := range containers {
		names = append(names, "container "+strings.Join(c.Names, " "))
	}
	networks, err := engine.NetworkList(ctx, network.ListOptions{Filters: ours})
	d.must(err)
	for _, n := range networks {
		names = append(names, "network "+n.Name)
	}
	volumes, err := engine.VolumeList(ctx, volume.ListOptions{Filters: ours})
	d.must(err)
	for _, v := range volumes.Volumes {
		names = append(names, "volume "+v.Name)
	}
	images, err := engine.ImageList(ctx, image.ListOptions{})
	d.must(err)
	for _, i := range images {
		for _, tag := range i.RepoTags {
			if tag == d.base || strings.Contains(tag, "/vitrine-"+d.instance+"/") {
				names = append(names, "image "+tag)
			}
		}
	}
	return names
}

func (d *demoProcess) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// Two demos stand side by side on one engine. The one that walks its story ends and takes only its own away; the other shows what it promises
// until Ctrl-C. Nothing is left of either.
func TestTwoDemos(t *testing.T) {
	t.Parallel()
	shown := startDemo(t)
	walked := startDemo(t, "--once")
	shown.learn()
	walked.learn()
	link := shown.says(`It is live \(answered 200\):\n +Preview +(http://shop-pr-1\.preview\.localhost:\d+)\n +Pull request +(http://localhost:\d+/acme/shop/pull/1)`)
	if len(shown.objects()) == 0 {
		t.Error("nothing of the demo is found on the engine, so that nothing could be missed")
	}
	if err := walked.wait(); err != nil {
		t.Errorf("demo --once ends with %v:\n%s", err, walked.printed)
	}
	if !strings.HasSuffix(walked.printed.String(), "\nThe story went as told.\n") {
		t.Error("demo --once does not say that the story went as told")
	}
	walked.leftNothing()

	page, err := fetchLoopback(t, link[1])
	if err != nil || !strings.Contains(page, "Stock: 12") {
		t.Errorf("the other demo's preview does not answer any more: %q (%v)", firstLine(page), err)
	}
	if page, err := fetchLoopback(t, link[2]); err != nil || !strings.Contains(page, "Show stock on product page") {
		t.Errorf("the pull request's page does not answer: %v", err)
	}
	shown.inOrder()
	shown.interrupt()
	shown.leftNothing()
}

func fetchLoopback(t *testing.T, address string) (string, error) {
	t.Helper()
	client := &http.Client{Transport: loopback.Transport()}
	defer client.CloseIdleConnections()
	s := &story{client: client, link: func(string) string { return address }}
	status, page, err := s.get(t.Context(), "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s answered %d", address, status)
	}
	return page, err
}

// inOrder checks that what the demo printed has the lines that people are promised, in their order.
func (d *demoProcess) inOrder() {
	d.Helper()
	lines := []string{
		`Vitrine demo: a simulated GitHub, a real Docker engine, nothing leaves this machine\.`, ``,
		` {2}engine +Docker \S+.* +ok`, ` {2}address +\*\.preview\.localhost -> 127\.0\.0\.1 +ok`,
		` {2}port +\d+ for previews +ok`, ` {2}port +\d+ for the simulated GitHub +ok`, ``,
		` {2}ana opens pull request #1 in acme/shop: "Show stock on product page"`, ``,
		` {2}[\d.]+ +webhook +pull_request opened, [0-9a-f]{7}`, ` {2}[\d.]+ +queued +stored, answered 202`,
		` {2}[\d.]+ +fetch +[0-9a-f]{7} from acme/shop`, ` {2}[\d.]+ +build +web and api, side by side`,
		` {2}[\d.]+ +start +cache, api, web on a network of their own`, ` {2}[\d.]+ +healthy +3 of 3`,
		` {2}[\d.]+ +route +frontend:shop-pr-1\.preview\.localhost`, ` {2}[\d.]+ +comment +posted, check green, View deployment leads to it`,
		` {2}[\d.]+ +push +2 images safe in the registry`, ``,
		` {2}It is live \(answered 200\):`,
	}
	printed := strings.Split(d.printed.String(), "\n")
	for i, line := range lines {
		if i >= len(printed) || !regexp.MustCompile("^"+line+"$").MatchString(printed[i]) {
			d.Errorf("line %d of the demo does not match %q:\n%s", i+1, line, d.printed)
			return
		}
	}
	if !slices.Contains(printed, `  Ctrl-C removes everything. For your own repositories: README.md, "A real GitHub App".`) {
		d.Error("the demo does not say what comes next")
	}
}

// Ctrl-C while a preview is being built leaves nothing either.
func TestDemoInterruptedWhileBuilding(t *testing.T) {
	d := startDemo(t)
	d.learn()
	d.says(`\d +build +web and api`)
	if strings.Contains(d.printed.String(), "It is live") {
		t.Error("the preview was live before the demo could be interrupted")
	}
	d.interrupt()
	d.leftNothing()
}

// So does Ctrl-C before there is anything to see.
func TestDemoInterruptedAtOnce(t *testing.T) {
	d := startDemo(t)
	d.says(`engine +Docker`)
	d.interrupt()
	if files, err := os.ReadDir(d.tmp); err != nil || len(files) > 0 {
		d.Errorf("the demo left %v in the temporary folder (%v)", files, err)
	}
}

// Without an engine the demo says where it looked, before it makes anything.
func TestDemoWithoutAnEngine(t *testing.T) {
	for _, args := range [][]string{{"demo"}, {"demo", "--once"}} {
		tmp, host := t.TempDir(), noEngine(t)
		t.Setenv("TMPDIR", tmp)
		command(t, append(args, "--docker-host", host)...).
			says(t, exitFailed, "vitrine: no Docker engine answers at "+host+": ", "; start it, or name another with --docker-host\n")
		t.Setenv("DOCKER_HOST", host)
		command(t, args...).says(t, exitFailed, "vitrine: no Docker engine answers at "+host+": ")
		if files, err := os.ReadDir(tmp); err != nil || len(files) > 0 {
			t.Errorf("%q left %v in the temporary folder (%v)", args, files, err)
		}
	}
}

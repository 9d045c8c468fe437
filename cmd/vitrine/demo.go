package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"vitrine/cmd/internal/loopback"
	"vitrine/cmd/internal/sample"
)

type demoCommand struct {
	Once       bool   `help:"Walk the whole story without anybody's help: exit 0 if every step went right, else say which did not."`
	Port       int    `help:"Port of the control plane and the previews; another is taken if it is not free." default:"8080"`
	GithubPort int    `name:"github-port" help:"Port of the simulated GitHub; another is taken if it is not free." default:"8091"`
	DockerHost string `help:"The Docker engine, if not the usual one." placeholder:"unix:///var/run/docker.sock"`
	LogLevel   string `help:"Least level that is logged: debug, info, warn or error." enum:"debug,info,warn,error" default:"error"`
}

// farewell follows the ^C that a terminal shows.
const farewell = "\n\nRemoving everything.\n"

// Run shows the main job until ctx is done, or walks the story, and then removes everything that it made.
func (c *demoCommand) Run(ctx context.Context, to console) (err error) {
	fmt.Fprint(to.out, "Vitrine demo: a simulated GitHub, a real Docker engine, nothing leaves this machine.\n\n")
	d, err := openDemo(ctx, c, to)
	if d == nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if c.Once {
		return d.walk(ctx)
	}
	err = d.show(ctx)
	if err == nil {
		select {
		case <-ctx.Done():
		case stopped := <-d.stopped:
			return fmt.Errorf("the server stopped: %w", stopped)
		}
	}
	if ctx.Err() != nil {
		fmt.Fprint(to.out, farewell)
		return nil
	}
	return err
}

// walk plays the story, and says which step failed.
func (d *demo) walk(ctx context.Context) error {
	s := d.story()
	if err := s.play(ctx); err != nil {
		return err
	}
	s.say("\nThe story went as told.\n")
	return nil
}

// show opens the pull request and tells what happens.
func (d *demo) show(ctx context.Context) error {
	s := d.story()
	s.say("  %s opens pull request #1 in %s: \"Show stock on product page\"\n\n", sample.Developer, sample.Repository)
	sha, err := s.openStock(ctx)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, stepTime, fmt.Errorf("the preview is not live after %s; --log-level info says more", stepTime))
	defer cancel()
	if err := (&narrator{demo: d, story: s, sha: sha}).tell(bounded); err != nil {
		return err
	}
	status, _, err := s.get(ctx, "shop-pr-1")
	if err != nil {
		return err
	}
	s.say(`
  It is live (answered %d):
    Preview       %s
    Pull request  %s/%s/pull/1

  Try it:  git clone %s/%s.git && cd shop
           git switch stock && sed -i s/Stock/Bestand/ web/index.html
           git commit -am "German label" && git push      (%s / %s)
  Then comment /extend 3d on the pull request, or close it.

  Ctrl-C removes everything. For your own repositories: README.md, "A real GitHub App".
`, status, s.link("shop-pr-1"), d.web, sample.Repository, d.web, sample.Repository, sample.Developer, sample.Password)
	return nil
}

func (d *demo) story() *story {
	return &story{
		github: d.github, web: d.web, link: d.server.previewLink(d.server.port()), base: d.base, fenced: d.server.Firewall == on,
		client: &http.Client{Transport: loopback.Transport()},
		say:    func(format string, args ...any) { fmt.Fprintf(d.out, format, args...) },
		left:   d.left,
	}
}

// left lists what the demo's Vitrine has on the engine.
func (d *demo) left(ctx context.Context) ([]string, error) {
	objects, err := d.server.runtime.Objects(ctx)
	if err != nil {
		return nil, err
	}
	references, err := d.server.builder.References(ctx)
	for _, r := range references {
		objects = append(objects, "image "+r)
	}
	return objects, err
}

// listenNear listens on loopback at the port, or at the next free one in steps of ten, and prints which.
func listenNear(out io.Writer, what string, port int) (net.Listener, error) {
	for candidate := port; candidate < port+200; candidate += 10 {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(candidate)))
		if err != nil {
			continue
		}
		text := fmt.Sprintf("%d for %s", candidate, what)
		if candidate != port {
			text = fmt.Sprintf("%d is taken, using %d for %s", port, candidate, what)
		}
		check(out, "port", text)
		return listener, nil
	}
	return nil, fmt.Errorf("ports %d to %d are all taken; name a free one", port, port+190)
}

// check prints one line of what was looked at and is all right.
func check(out io.Writer, what, text string) {
	fmt.Fprintf(out, "  %-10s %-52s ok\n", what, strings.TrimSpace(text))
}

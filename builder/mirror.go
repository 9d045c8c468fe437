package builder

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vitrine/deployments"
)

// mirrorsIn returns the folder of the mirrors. Its last element is the version of what lies in it.
func mirrorsIn(dataDir string) string { return filepath.Join(dataDir, "mirrors", "v1") }

// fetchTime bounds one fetch, as it holds a build slot. A remote that sends nothing is given up earlier; see gitSettings.
const fetchTime = 10 * time.Minute

// A mirror is the bare repository that a remote repository is fetched into. Its references lie in refs/vitrine, one for each origin, and tell the
// remote what is here already.
type mirror struct {
	path string
	busy chan struct{} // holds an element while somebody fetches: git's shallow.lock lets only one
}

// mirrorOf returns the mirror of a repository. Names of repositories differ in more than case (GitHub).
func (b *Builder) mirrorOf(repo string) *mirror {
	path := filepath.Join(mirrorsIn(b.config.DataDir), component(strings.ToLower(repo))+".git")
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.mirrors[path]
	if m == nil {
		m = &mirror{path: path, busy: make(chan struct{}, 1)}
		b.mirrors[path] = m
	}
	return m
}

// git returns the way to run commands in the mirror.
func (b *Builder) git(m *mirror) git {
	g := git{dir: m.path, home: mirrorsIn(b.config.DataDir), protocols: "http:https"}
	if b.config.AllowFiles {
		g.protocols += ":file"
	}
	return g
}

// fetchInto brings the commit into the mirror. Only one at a time fetches into a mirror; others wait.
func (b *Builder) fetchInto(ctx context.Context, m *mirror, r deployments.Remote, o deployments.Origin, s deployments.Source) (err error) {
	select {
	case m.busy <- struct{}{}:
		defer func() { <-m.busy }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	g := b.git(m)
	if err := m.open(ctx, g); err != nil {
		return err
	}
	if g.has(ctx, s.SHA) {
		return nil
	}
	if g.settings, err = remoteSettings(r, b.config.AllowFiles); err != nil {
		return err
	}
	if len(b.config.Authorities) > 0 {
		g.variables = []string{"GIT_SSL_CAINFO=" + authoritiesIn(b.config.DataDir)}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.clear()) // what is unfinished may be what fills the disk
		}
	}()
	mark := "refs/vitrine/" + hashOf(o.Key())
	missing, err := g.fetchFrom(ctx, r, s.SHA, mark)
	if !missing {
		return err
	}
	// A server may refuse a commit that no branch reaches, although a reference of its own has it.
	if ref := fallbackRef(ctx, g, o, s); ref != "" {
		if _, err := g.fetchFrom(ctx, r, ref, mark); err != nil {
			return err
		}
		if g.has(ctx, s.SHA) {
			return nil
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &deployments.Fault{
		Kind:   deployments.FaultFetch,
		Reason: fmt.Sprintf("commit %s is not in %s any more; push again if it was replaced", s.ShortSHA(), s.Repo),
	}
}

// fetchFrom fetches from the remote and reports whether that answered that it does not have what was asked for. Whatever else keeps git from
// fetching is the remote's doing or the network's, unless our disk is full.
func (g git) fetchFrom(ctx context.Context, r deployments.Remote, what, mark string) (missing bool, err error) {
	limited, cancel := context.WithTimeoutCause(ctx, fetchTime, fmt.Errorf("the repository was not there within %s", fetchTime))
	defer cancel()
	err = g.fetch(limited, r.URL, what, mark)
	if commitIsMissing(err) {
		return true, nil
	}
	return false, away(ctx, waitsForGitHub, explained(scrubbed(err, r.Token)))
}

// open makes the mirror where it is missing, and clears away what a killed git left, which would stop every later one.
func (m *mirror) open(ctx context.Context, g git) error {
	if _, err := os.Stat(filepath.Join(m.path, "HEAD")); err == nil {
		return m.clear()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for the mirror: %w", err)
	}
	// It is made aside and renamed, so that it is there as a whole or not at all.
	made, err := os.MkdirTemp(filepath.Dir(m.path), "new-")
	if err != nil {
		return fmt.Errorf("make a mirror: %w", err)
	}
	defer os.RemoveAll(made)
	g.dir = made
	if err := g.run(ctx, "init", "--quiet", "--bare", "--template="); err != nil {
		return fmt.Errorf("make a mirror: %w", err)
	}
	if err := os.RemoveAll(m.path); err != nil {
		return fmt.Errorf("make a mirror: %w", err)
	}
	if err := os.Rename(made, m.path); err != nil {
		return fmt.Errorf("make a mirror: %w", err)
	}
	return nil
}

// clear removes lock files and unfinished packs. The caller is the only one who writes to the mirror.
func (m *mirror) clear() error {
	left, err := filepath.Glob(filepath.Join(m.path, "*.lock"))
	if err != nil {
		return fmt.Errorf("clear the mirror: %w", err)
	}
	packs, err := filepath.Glob(filepath.Join(m.path, "objects", "pack", "tmp_*"))
	if err != nil {
		return fmt.Errorf("clear the mirror: %w", err)
	}
	refs, err := filepath.Glob(filepath.Join(m.path, "refs", "vitrine", "*.lock"))
	if err != nil {
		return fmt.Errorf("clear the mirror: %w", err)
	}
	for _, path := range append(append(left, packs...), refs...) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clear the mirror: %w", err)
		}
	}
	return nil
}

// has reports whether the commit is here.
func (g git) has(ctx context.Context, sha string) bool {
	return g.run(ctx, "cat-file", "-e", sha+"^{commit}") == nil
}

// fetch gets one commit or reference of a remote, without history, and marks it.
func (g git) fetch(ctx context.Context, remote, what, mark string) error {
	err := g.run(ctx, "fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--force", "--end-of-options", remote, "+"+what+":"+mark)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", what, err)
	}
	return nil
}

// fallbackRef returns the remote's reference that should have the commit, or nothing.
func fallbackRef(ctx context.Context, g git, o deployments.Origin, s deployments.Source) string {
	if o.PullRequest != 0 {
		return fmt.Sprintf("refs/pull/%d/head", o.PullRequest)
	}
	branch := s.Branch
	if branch == "" {
		branch = o.Branch
	}
	ref := "refs/heads/" + branch
	// What git takes for the name of a reference cannot change the meaning of a refspec: it has no colon, asterisk or caret.
	if branch == "" || g.run(ctx, "check-ref-format", ref) != nil {
		return ""
	}
	return ref
}

// commitIsMissing reports whether the remote answered that it does not have what was asked for (git, upload-pack.c and builtin/fetch.c).
func commitIsMissing(err error) bool {
	var e *gitError
	if !errors.As(err, &e) {
		return false
	}
	for _, text := range []string{"not our ref", "unadvertised object", "couldn't find remote ref", "no matching remote head"} {
		if strings.Contains(e.stderr, text) {
			return true
		}
	}
	return false
}

// remoteSettings returns what git needs to reach the remote. The token is sent to its host only.
func remoteSettings(r deployments.Remote, files bool) ([]setting, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, fmt.Errorf("read the remote's address: %w", err)
	}
	if u.Scheme == "file" && files {
		return nil, nil
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("the remote's address %q is not one of http or https", u.Redacted())
	}
	if u.User != nil {
		return nil, fmt.Errorf("the remote's address %q holds credentials", u.Redacted())
	}
	scope := "http." + u.Scheme + "://" + u.Host + "/."
	var settings []setting
	if r.Token != "" {
		basic := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + r.Token))
		settings = append(settings, setting{scope + "extraHeader", "Authorization: Basic " + basic})
	}
	if strings.HasSuffix(u.Hostname(), ".localhost") {
		// RFC 6761 §6.3 reserves the name for loopback; resolvers differ in whether they know that.
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		settings = append(settings, setting{"http.curloptResolve", u.Hostname() + ":" + port + ":127.0.0.1"}, setting{scope + "proxy", ""})
	}
	return settings, nil
}

// scrubbed takes the token out of an error's text, should a server have repeated it.
func scrubbed(err error, token string) error {
	var e *gitError
	if token != "" && errors.As(err, &e) {
		e.stderr = strings.ReplaceAll(e.stderr, token, "***")
		e.stderr = strings.ReplaceAll(e.stderr, base64.StdEncoding.EncodeToString([]byte("x-access-token:"+token)), "***")
	}
	return err
}

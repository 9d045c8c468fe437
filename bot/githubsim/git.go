package githubsim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// git runs the git binary on bare repositories, apart from whatever is configured on the machine.
type git struct {
	path string
	env  []string
}

// gitSettings hold for every repository. Fetching by commit, partial clones and the refusal to push to refs/pull are GitHub's.
var gitSettings = [][2]string{
	{"uploadpack.allowAnySHA1InWant", "true"},
	{"uploadpack.allowFilter", "true"},
	{"http.receivepack", "true"},
	{"receive.hideRefs", "refs/pull"},
	{"receive.autogc", "false"},
	{"gc.auto", "0"},
	{"maintenance.auto", "false"},
	{"core.hooksPath", os.DevNull},
	{"core.quotePath", "false"},
}

func newGit(path, home string) git {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_CONFIG_COUNT=" + strconv.Itoa(len(gitSettings)),
	}
	for i, setting := range gitSettings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, setting[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, setting[1]))
	}
	return git{path: path, env: env}
}

// run returns what git writes to its standard output. dir is the bare repository, or empty.
func (g git) run(ctx context.Context, dir string, stdin io.Reader, args ...string) (string, error) {
	full := args
	if dir != "" {
		full = append([]string{"--git-dir", dir}, args...)
	}
	cmd := exec.CommandContext(ctx, g.path, full...)
	cmd.Env, cmd.Stdin, cmd.WaitDelay = g.env, stdin, time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

func (g git) create(ctx context.Context, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("make the repository's folder: %w", err)
	}
	_, err := g.run(ctx, "", nil, "init", "--quiet", "--bare", "--template=", "--initial-branch="+defaultBranch, "--end-of-options", dir)
	return err
}

func (g git) clone(ctx context.Context, from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("make the repository's folder: %w", err)
	}
	_, err := g.run(ctx, "", nil, "clone", "--quiet", "--bare", "--template=", "--end-of-options", from, to)
	return err
}

// refs returns every ref of a repository with the object that it names.
func (g git) refs(ctx context.Context, dir string) (map[string]string, error) {
	out, err := g.run(ctx, dir, nil, "for-each-ref", "--format=%(objectname) %(refname)")
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(out) {
		sha, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		refs[name] = sha
	}
	return refs, nil
}

// checkBranch reports what is wrong with a branch's name, by git's own rules.
func (g git) checkBranch(ctx context.Context, branch string) error {
	if _, err := g.run(ctx, "", nil, "check-ref-format", "refs/heads/"+branch); err != nil {
		return fmt.Errorf("%q cannot be the name of a branch", branch)
	}
	return nil
}

// commit writes a commit that changes files, onto the commit from (empty for a first one), and points the branch to it.
func (g git) commit(ctx context.Context, dir, branch, from string, by signature, message string, files map[string]string) error {
	var in bytes.Buffer
	fmt.Fprintf(&in, "feature done\ncommit refs/heads/%s\n", branch)
	by.write(&in)
	fmt.Fprintf(&in, "data %d\n%s\n", len(message), message)
	if from != "" {
		fmt.Fprintf(&in, "from %s\n", from)
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	paths := make([]string, 0, len(files))
	for path := range files {
		if !fs.ValidPath(path) || path == "." || slices.ContainsFunc(strings.Split(path, "/"), isDotGit) {
			return fmt.Errorf("%q cannot be the path of a file in a repository", path)
		}
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		fmt.Fprintf(&in, "M 100644 inline \"%s\"\ndata %d\n%s\n", quote.Replace(path), len(files[path]), files[path])
	}
	in.WriteString("done\n")
	_, err := g.run(ctx, dir, &in, "fast-import", "--quiet")
	return err
}

// merge writes a commit onto a branch, at the commit into, that joins the commit from to it. It reports false where the two conflict.
func (g git) merge(ctx context.Context, dir, branch, into, from string, by signature, message string) (bool, error) {
	out, err := g.run(ctx, dir, nil, "merge-tree", "--write-tree", "--end-of-options", into, from)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var in bytes.Buffer
	fmt.Fprintf(&in, "feature done\ncommit refs/heads/%s\n", branch)
	by.write(&in)
	fmt.Fprintf(&in, "data %d\n%s\nfrom %s\nmerge %s\nM 040000 %s \"\"\ndone\n", len(message), message, into, from, strings.TrimSpace(out))
	_, err = g.run(ctx, dir, &in, "fast-import", "--quiet")
	return err == nil, err
}

func isDotGit(name string) bool { return strings.EqualFold(name, ".git") }

// A signature says who wrote a commit, and when.
type signature struct {
	Name, Email string
	Date        time.Time
}

// write says who wrote and who committed, as git fast-import reads it.
func (s signature) write(in *bytes.Buffer) {
	for _, role := range []string{"author", "committer"} {
		fmt.Fprintf(in, "%s %s <%s> %d +0000\n", role, s.Name, s.Email, s.Date.Unix())
	}
}

// A gitCommit is a commit as git knows it.
type gitCommit struct {
	SHA, Tree         string
	Parents           []string
	Author, Committer signature
	Message           string
}

// Title returns the first line of the message.
func (c gitCommit) Title() string {
	title, _, _ := strings.Cut(c.Message, "\n")
	return title
}

// log returns up to limit commits, newest first. revisions are full commit ids, "^" before those that are left out with what leads to them.
func (g git) log(ctx context.Context, dir string, limit int, revisions ...string) ([]gitCommit, error) {
	args := []string{"log", "-z", "--format=%H%n%T%n%P%n%an%n%ae%n%at%n%cn%n%ce%n%ct%n%B", "--max-count=" + strconv.Itoa(limit), "--end-of-options"}
	out, err := g.run(ctx, dir, nil, append(append(args, revisions...), "--")...)
	if err != nil {
		return nil, err
	}
	var commits []gitCommit
	for record := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		f := strings.SplitN(record, "\n", 10)
		if len(f) < 10 {
			continue // git log of no commit at all prints nothing
		}
		commits = append(commits, gitCommit{
			SHA: f[0], Tree: f[1], Parents: strings.Fields(f[2]), Message: strings.TrimRight(f[9], "\n"),
			Author:    signature{Name: f[3], Email: f[4], Date: unixTime(f[5])},
			Committer: signature{Name: f[6], Email: f[7], Date: unixTime(f[8])},
		})
	}
	return commits, nil
}

func unixTime(s string) time.Time {
	seconds, _ := strconv.ParseInt(s, 10, 64) // git prints a number, or nothing for a commit without a date
	return time.Unix(seconds, 0).UTC()
}

// isAncestor reports whether one commit leads to another.
func (g git) isAncestor(ctx context.Context, dir, ancestor, of string) bool {
	_, err := g.run(ctx, dir, nil, "merge-base", "--is-ancestor", "--end-of-options", ancestor, of)
	return err == nil
}

// touched returns the files that a commit added, modified and removed.
func (g git) touched(ctx context.Context, dir, sha string) (added, modified, removed []string, err error) {
	out, err := g.run(ctx, dir, nil, "diff-tree", "-r", "-z", "--root", "--no-commit-id", "--name-status", "--end-of-options", sha)
	if err != nil {
		return nil, nil, nil, err
	}
	added, modified, removed = []string{}, []string{}, []string{}
	fields := strings.Split(out, "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		switch fields[i] {
		case "A":
			added = append(added, fields[i+1])
		case "D":
			removed = append(removed, fields[i+1])
		default:
			modified = append(modified, fields[i+1])
		}
	}
	return added, modified, removed, nil
}

// diffStat counts what a pull request changes.
type diffStat struct{ Commits, Additions, Deletions, Files int }

func (g git) diffStat(ctx context.Context, dir, base, head string) (diffStat, error) {
	var stat diffStat
	count, err := g.run(ctx, dir, nil, "rev-list", "--count", "--end-of-options", base+".."+head)
	if err != nil {
		return stat, err
	}
	if stat.Commits, err = strconv.Atoi(strings.TrimSpace(count)); err != nil {
		return stat, fmt.Errorf("count the commits of %s: %w", head, err)
	}
	out, err := g.run(ctx, dir, nil, "diff", "--numstat", "--merge-base", "--end-of-options", base, head)
	if err != nil {
		return stat, err
	}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		added, _ := strconv.Atoi(f[0]) // a binary file has "-" here
		deleted, _ := strconv.Atoi(f[1])
		stat.Additions, stat.Deletions, stat.Files = stat.Additions+added, stat.Deletions+deleted, stat.Files+1
	}
	return stat, nil
}

// A fileChange is what happens to a file between two commits.
type fileChange struct {
	Status, Path, Before string // added, removed, modified, renamed, changed; Before is the path that a renamed file had
	SHA                  string // of the file as it is, or was
	Additions, Deletions int
}

// changedFiles returns what a branch at head changes since it left base, by path.
func (g git) changedFiles(ctx context.Context, dir, base, head string) ([]fileChange, error) {
	out, err := g.run(ctx, dir, nil, "diff", "--raw", "--numstat", "-z", "-M", "--no-abbrev", "--merge-base", "--end-of-options", base, head)
	if err != nil {
		return nil, err
	}
	statuses := map[string]string{"A": "added", "D": "removed", "M": "modified", "R": "renamed", "T": "changed"}
	byPath := map[string]*fileChange{}
	fields := strings.Split(out, "\x00")
	next := func() (field string) {
		if len(fields) > 0 {
			field, fields = fields[0], fields[1:]
		}
		return field
	}
	for len(fields) > 1 { // what is behind the last NUL is empty
		if meta := next(); strings.HasPrefix(meta, ":") {
			f := strings.Fields(meta) // both modes, both objects, the status with how alike a renamed file is
			if len(f) != 5 {
				return nil, fmt.Errorf("read what %s changes: %q", head, meta)
			}
			change := &fileChange{Status: statuses[f[4][:1]], Path: next(), SHA: f[3]}
			switch change.Status {
			case "renamed":
				change.Before, change.Path = change.Path, next()
			case "removed":
				change.SHA = f[2]
			}
			byPath[change.Path] = change
		} else {
			count := strings.SplitN(meta, "\t", 3)
			if len(count) == 3 && count[2] == "" { // of a renamed file, both paths follow
				next()
				count[2] = next()
			}
			if len(count) != 3 || byPath[count[2]] == nil {
				return nil, fmt.Errorf("read how much %s changes: %q", head, meta)
			}
			change := byPath[count[2]]
			change.Additions, _ = strconv.Atoi(count[0]) // a binary file has "-" here
			change.Deletions, _ = strconv.Atoi(count[1])
		}
	}
	changes := make([]fileChange, 0, len(byPath))
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		changes = append(changes, *byPath[path])
	}
	return changes, nil
}

// A treeEntry is a file or a folder of a commit.
type treeEntry struct {
	Mode, Type, SHA, Path string
	Size                  int64
}

// tree lists the entries at a path of a commit: the entry itself, or with a slash at its end or an empty path, what lies in the folder.
func (g git) tree(ctx context.Context, dir, commit, path string) ([]treeEntry, error) {
	args := []string{"ls-tree", "-z", "-l", "--full-tree", commit}
	if path != "" {
		args = append(args, "--", path)
	}
	out, err := g.run(ctx, dir, nil, args...)
	if err != nil {
		return nil, err
	}
	var entries []treeEntry
	for record := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		meta, name, ok := strings.Cut(record, "\t")
		f := strings.Fields(meta)
		if !ok || len(f) != 4 {
			continue // an empty listing
		}
		size, _ := strconv.ParseInt(f[3], 10, 64) // a folder has "-"
		entries = append(entries, treeEntry{Mode: f[0], Type: f[1], SHA: f[2], Path: name, Size: size})
	}
	return entries, nil
}

func (g git) blob(ctx context.Context, dir, sha string) (string, error) {
	return g.run(ctx, dir, nil, "cat-file", "blob", sha)
}

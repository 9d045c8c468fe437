package docker

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"vitrine/deploy"
	"vitrine/deployments"
)

const (
	// shortID is how many digits of a container's ID stand in the name of its log.
	shortID = 12
	// keepTime bounds how long a container's removal waits for its log to be kept.
	keepTime = 15 * time.Second
	// keptLines is how many of a container's lines are kept at most, the last ones.
	keptLines = 20_000
	// archiveHead begins each file, with the version of its format.
	archiveHead = "# vitrine log 1, deployment "
	// stampFormat begins the file names, so that their order is that of time.
	stampFormat = "20060102T150405.000000000Z"
	logSuffix   = ".log"
	unfinished  = ".unfinished-"
)

// How much is kept of what removed containers printed, in bytes, where a Config does not say.
const (
	defaultLogBudget      = 16 << 20
	defaultLogBudgetTotal = 512 << 20
)

// An archive keeps what containers printed that are not there any more: a folder for each environment, in it a file for each container,
//
//	<when it was created>-<12 digits of its ID>-<service>.log
//
// with a first line that names the version and the deployment, and then lines like "2026-11-21T08:15:56.123456789Z out text", "err" for the standard error.
// What was secret when the container was removed is masked in them.
// One without a folder keeps nothing. Its methods may be called side by side.
type archive struct {
	dir   string
	each  int64      // bytes for an environment
	total int64      // bytes for all
	mu    sync.Mutex // held while files come and go
}

// clear removes what a former process did not finish.
func (a *archive) clear() error {
	if a.dir == "" {
		return nil
	}
	left, err := filepath.Glob(filepath.Join(a.dir, unfinished+"*"))
	for _, name := range left {
		err = errors.Join(err, ignoreMissing(os.Remove(name)))
	}
	return err
}

// keepOutput writes down what the container printed, as far as the budgets allow. What cannot be kept is no reason to keep the container.
func (r *Runtime) keepOutput(ctx context.Context, id string) {
	if r.archive.dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	if err := r.writeOutput(ctx, id); err != nil && !errdefs.IsNotFound(err) {
		r.log.Warn("what a container printed is not kept", "container", id, "error", err)
	}
}

func (r *Runtime) writeOutput(ctx context.Context, id string) error {
	c, err := r.client.ContainerInspect(ctx, id)
	if err != nil {
		return err
	}
	created, err := time.Parse(time.RFC3339Nano, c.Created)
	if err != nil {
		return fmt.Errorf("read when the container was created: %w", err)
	}
	environment := c.Config.Labels[deploy.LabelEnvironment]
	mask, err := r.maskOf(ctx, environment)
	if err != nil {
		return err
	}
	p := newPrinter(c.ID, c.Config.Labels, mask)
	name := fmt.Sprintf("%s-%s-%s%s", created.UTC().Format(stampFormat), c.ID[:shortID], url.PathEscape(p.service), logSuffix)
	return r.archive.write(environment, name, func(w io.Writer) error {
		if _, err := fmt.Fprintf(w, "%s%d\n", archiveHead, p.deployment); err != nil {
			return err
		}
		return r.printed(ctx, p, deployments.LogQuery{}, keptLines, false, func(l deployments.LogLine) error {
			_, err := io.WriteString(w, formatLine(l))
			return err
		})
	})
}

func formatLine(l deployments.LogLine) string {
	stream := "out"
	if l.Err {
		stream = "err"
	}
	return l.At.UTC().Format(time.RFC3339Nano) + " " + stream + " " + l.Text + "\n"
}

// parseLine reads what formatLine wrote.
func parseLine(text string) (l deployments.LogLine, err error) {
	stamp, rest, _ := strings.Cut(text, " ")
	stream, rest, _ := strings.Cut(rest, " ")
	if stream != "out" && stream != "err" {
		return l, fmt.Errorf("a kept log has a line of stream %q", stream)
	}
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return l, fmt.Errorf("read the time of a line of a kept log: %w", err)
	}
	return deployments.LogLine{At: at, Err: stream == "err", Text: rest}, nil
}

// folder returns that of an environment's logs.
func (a *archive) folder(environment string) (string, error) {
	if environment == "" || environment[0] == '.' || filepath.Base(environment) != environment {
		return "", fmt.Errorf("%q is no name of an environment", environment)
	}
	return filepath.Join(a.dir, environment), nil
}

// write makes a file of what fill writes, and then room for it: what is above the budgets goes, the oldest first, and of a file that is above an
// environment's budget by itself the beginning. One that exists is replaced, and one of a head alone is not made.
func (a *archive) write(environment, name string, fill func(io.Writer) error) (err error) {
	dir, err := a.folder(environment)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(a.dir, unfinished)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), ignoreMissing(os.Remove(f.Name()))) }()
	w := bufio.NewWriter(f)
	if err := errors.Join(fill(w), w.Flush()); err != nil {
		return err
	}
	if err := a.shorten(f); err != nil {
		return err
	}
	if lines, err := countLines(f, 2); err != nil || lines < 2 {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return a.makeRoom(dir)
}

// countLines returns how many lines the file has, most at most.
func countLines(f *os.File, most int) (n int, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	for in := bufio.NewReader(f); n < most; n++ {
		if _, err := in.ReadString('\n'); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
	return n, nil
}

// shorten takes from the file's beginning what is above an environment's budget, but for the head.
func (a *archive) shorten(f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size <= a.each {
		return err
	}
	in := bufio.NewReader(io.NewSectionReader(f, 0, size))
	head, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	rest := bufio.NewReader(io.NewSectionReader(f, size-a.each+int64(len(head)), size))
	if _, err := rest.ReadString('\n'); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	// The end is moved to the front within the file: what is written lies before what is still to be read.
	written, err := io.Copy(io.NewOffsetWriter(f, int64(len(head))), rest)
	if err != nil {
		return err
	}
	return f.Truncate(int64(len(head)) + written)
}

// A kept log is a file of the archive.
type keptLog struct {
	path string
	name string
	size int64
}

// makeRoom removes the oldest logs in dir that are above an environment's budget, and then of all what is above the whole.
func (a *archive) makeRoom(dir string) error {
	own, err := keptLogs(dir)
	if err != nil {
		return err
	}
	if err := trim(own, a.each); err != nil {
		return err
	}
	folders, err := os.ReadDir(a.dir)
	if err != nil {
		return err
	}
	var everything []keptLog
	for _, folder := range folders {
		if !folder.IsDir() {
			continue
		}
		logs, err := keptLogs(filepath.Join(a.dir, folder.Name()))
		if err != nil {
			return err
		}
		everything = append(everything, logs...)
	}
	return trim(everything, a.total)
}

// trim removes the oldest of the logs until the others take no more than budget.
func trim(logs []keptLog, budget int64) error {
	slices.SortFunc(logs, func(a, b keptLog) int { return cmp.Or(cmp.Compare(b.name, a.name), cmp.Compare(a.path, b.path)) })
	var errs []error
	var sum int64
	for _, l := range logs {
		if sum += l.size; sum > budget {
			errs = append(errs, ignoreMissing(os.Remove(l.path)))
		}
	}
	return errors.Join(errs...)
}

// keptLogs lists the files of a folder, in the order of time; none where there is no folder.
func keptLogs(dir string) ([]keptLog, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	var logs []keptLog
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue
		}
		if err != nil {
			return nil, err
		}
		logs = append(logs, keptLog{path: filepath.Join(dir, e.Name()), name: e.Name(), size: info.Size()})
	}
	return logs, nil
}

// size returns the bytes that are kept of an environment.
func (a *archive) size(environment string) (sum int64, err error) {
	if a.dir == "" {
		return 0, nil
	}
	dir, err := a.folder(environment)
	if err != nil {
		return 0, err
	}
	logs, err := keptLogs(dir)
	for _, l := range logs {
		sum += l.size
	}
	return sum, err
}

// read returns the last lines that are kept of what the query is about, tail at most, in the order of their containers. Containers that are there, by the
// short form of their IDs, are left out.
func (a *archive) read(q deployments.LogQuery, tail int, there func(id string) bool) (lines []deployments.LogLine, err error) {
	if a.dir == "" {
		return nil, nil
	}
	dir, err := a.folder(q.Environment)
	if err != nil {
		return nil, err
	}
	logs, err := keptLogs(dir)
	if err != nil {
		return nil, err
	}
	for _, l := range logs {
		id, service, ok := splitName(l.name)
		if !ok || there(id) || q.Service != "" && q.Service != service {
			continue
		}
		of, err := l.lines(service, q.Since)
		if errors.Is(err, fs.ErrNotExist) { // it had to make room
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", l.path, err)
		}
		lines = append(lines, of[max(0, len(of)-tail):]...)
	}
	return lines, nil
}

// splitName takes the name of a file apart.
func splitName(name string) (id, service string, ok bool) {
	base, isLog := strings.CutSuffix(name, logSuffix)
	parts := strings.SplitN(base, "-", 3)
	if !isLog || len(parts) != 3 {
		return "", "", false
	}
	service, err := url.PathUnescape(parts[2])
	return parts[1], service, err == nil
}

// lines reads the log, without what is older than since.
func (l keptLog) lines(service string, since time.Time) (lines []deployments.LogLine, err error) {
	f, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 8*longestLine) // a byte that is no UTF-8 was replaced by one, and what was cut off is named
	if !in.Scan() {
		return nil, in.Err()
	}
	number, ok := strings.CutPrefix(in.Text(), archiveHead)
	deployment, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil {
		return nil, fmt.Errorf("it begins with %q, which is no head of this version", in.Text())
	}
	for in.Scan() {
		line, err := parseLine(in.Text())
		if err != nil {
			return nil, err
		}
		line.Service, line.Deployment = service, deployment
		if !line.At.Before(since) {
			lines = append(lines, line)
		}
	}
	return lines, in.Err()
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

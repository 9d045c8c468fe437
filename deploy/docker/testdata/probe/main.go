// Command probe is what the services of compose files run in the tests of package docker. It is called by one of several names:
//
//	probe [ARGS...]                says as one line of JSON what it was given and sees, takes a moment, says "ready", and answers at every one of ports
//	once [ARGS...], migrate, seed  says the same and ends
//	resolve NAME...                prints the addresses of each name as one line of JSON
//	sh, curl, pg_isready           are health checks: they end with 0 once the probe beside them is ready
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// readyAddress accepts connections once the probe is ready.
const readyAddress = "127.0.0.1:65000"

// warmUp is how long the probe takes to be ready, so that whoever does not wait for it is seen to.
const warmUp = 300 * time.Millisecond

// ports are those of the files in testdata.
func ports() []int { return []int{80, 81, 3000, 4000, 5173, 5432, 7000, 8025, 8080, 8081, 9000, 9001} }

// A report is what the probe was given and sees.
type report struct {
	Args   []string          `json:"args"`
	Env    map[string]string `json:"env"`
	Dir    string            `json:"dir"`
	User   string            `json:"user"`   // "uid:gid"
	Mounts map[string]string `json:"mounts"` // by where they are: "volume", "bind ro", "tmpfs rw 65536k"
	Files  map[string]string `json:"files"`  // those that are not the image's own; a folder ends in "/", and a file's permissions and owner precede its content
	Memory string            `json:"memory"` // in bytes
	Open   uint64            `json:"open"`   // how many files may be open, the hard limit
}

func main() {
	if err := run(path.Base(os.Args[0]), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(name string, args []string) error {
	switch name {
	case "resolve":
		return resolve(args)
	case "sh", "curl", "pg_isready":
		conn, err := net.Dial("tcp", readyAddress)
		if err != nil {
			return err
		}
		return conn.Close()
	case "once", "migrate", "seed":
		return tell(args)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	if err := tell(args); err != nil {
		return err
	}
	go serve()
	<-stop
	return nil
}

func serve() {
	time.Sleep(warmUp)
	for _, port := range ports() {
		go http.ListenAndServe(fmt.Sprintf(":%d", port), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	}
	fmt.Println("ready")
	if err := http.ListenAndServe(readyAddress, nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func resolve(names []string) error {
	found := map[string][]string{}
	for _, name := range names {
		addresses, err := net.DefaultResolver.LookupHost(context.Background(), name)
		if err == nil {
			found[name] = addresses
		}
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func tell(args []string) error {
	r := report{Args: args, Env: map[string]string{}, User: fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		r.Env[name] = value
	}
	var open syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &open); err != nil {
		return err
	}
	r.Open = open.Max
	var err error
	if r.Dir, err = os.Getwd(); err != nil {
		return err
	}
	if r.Mounts, err = mounts(); err != nil {
		return err
	}
	if r.Files, err = files(); err != nil {
		return err
	}
	for _, name := range []string{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"} {
		if b, err := os.ReadFile(name); err == nil {
			r.Memory = strings.TrimSpace(string(b))
		}
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// engines returns whether the engine has put a place of the file system there for every container.
func engines(name string) bool {
	return slices.Contains([]string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab", "/.dockerenv", "/sbin/docker-init"}, name)
}

// mounts reads what is mounted, as of proc(5).
func mounts() (map[string]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for line := range strings.Lines(string(b)) {
		before, after, _ := strings.Cut(strings.TrimSpace(line), " - ")
		what, how := strings.Fields(before), strings.Fields(after)
		root, at := what[3], what[4]
		system := strings.HasPrefix(at, "/proc") || strings.HasPrefix(at, "/sys") || strings.HasPrefix(at, "/dev") && at != "/dev/shm"
		if system || engines(at) {
			continue
		}
		access, _, _ := strings.Cut(what[5], ",")
		switch {
		case at == "/":
			found[at] = access
		case how[0] == "tmpfs":
			found[at] = "tmpfs " + access + size(how[2])
		case strings.Contains(root, "/volumes/") && strings.HasSuffix(root, "/_data"):
			found[at] = "volume " + access
		default:
			found[at] = "bind " + access
		}
	}
	return found, nil
}

// size returns that of a tmpfs, with a space before it, or "".
func size(options string) string {
	for option := range strings.SplitSeq(options, ",") {
		if s, ok := strings.CutPrefix(option, "size="); ok {
			return " " + s
		}
	}
	return ""
}

// beginning returns that of a long file, and its length.
func beginning(b []byte) string {
	const enough = 60
	if len(b) <= enough {
		return string(b)
	}
	return fmt.Sprintf("%s... %d bytes", b[:enough], len(b))
}

// files reads the whole file system but for what is the system's and the image's.
func files() (map[string]string, error) {
	found := map[string]string{}
	err := filepath.WalkDir("/", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			found[name] = err.Error()
			return nil
		case slices.Contains([]string{"/proc", "/sys", "/dev", "/bin", "/sbin"}, name):
			return filepath.SkipDir
		case engines(name) || name == "/etc/passwd" || name == "/etc/group" || name == "/etc" || name == "/":
			return nil
		case entry.IsDir():
			found[name+"/"] = ""
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content := ""
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(name)
			content = beginning(b)
			if err != nil {
				content = err.Error()
			}
		}
		owner := info.Sys().(*syscall.Stat_t)
		found[name] = fmt.Sprintf("%s %d:%d %s", info.Mode(), owner.Uid, owner.Gid, content)
		return nil
	})
	return found, err
}

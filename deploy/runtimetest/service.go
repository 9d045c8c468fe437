package runtimetest

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vitrine/deploy"
)

// eventually waits for the condition.
func (b *bench) eventually(what string, holds func() bool) {
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Errorf("never came: %s", what)
			return
		}
	}
}

// appends is a job of the database that adds a line to a file that is kept.
func appends(line string, first bool) deploy.Job {
	return deploy.Job{Service: "web", Run: []string{"/server", "append", "/data/log", line}, First: first}
}

// migrated is a stack whose web has jobs, and the same data as the database.
func migrated(jobs ...deploy.Job) deploy.Stack {
	front := web("web")
	front.Mounts = []deploy.Mount{{Volume: "data", Target: "/data"}}
	front.DependsOn = []deploy.Dependency{{Service: "db", Condition: deploy.Healthy}}
	s := stack(front, db())
	s.Jobs = jobs
	return s
}

// Jobs run after what their service depends on and before it, one after the other; those that run once do not run again.
func jobs(b *bench) {
	old := b.up(nil, migrated(appends("seed", true), appends("migrate", false)))
	b.reads(old, "db", "/data/log", "seed\nmigrate\n")
	order := []string{"db healthy", "web runs init job 1", "web runs init job 2", "web starting"}
	for i := 1; i < len(order); i++ {
		if slices.Index(b.told, order[i-1]) < 0 || slices.Index(b.told, order[i-1]) > slices.Index(b.told, order[i]) {
			b.Errorf("%q is not before %q in %q", order[i-1], order[i], b.told)
		}
	}
	for _, j := range b.ran {
		if j.Done && j.First {
			old.Ran = append(old.Ran, j.Key)
		}
	}
	if len(b.ran) != 4 || len(old.Ran) != 1 {
		b.Fatalf("told of %+v, want the begin and the end of two jobs, one of which runs once", b.ran)
	}
	young := b.up(old, migrated(appends("seed", true), appends("migrate", false)))
	b.reads(young, "db", "/data/log", "seed\nmigrate\nmigrate\n")
}

func failingJob(b *bench) {
	s := stack(web("web"))
	s.Jobs = []deploy.Job{{Service: "web", Run: []string{"/server", "-say", "no such column", "-exit", "5"}}}
	_, fault := b.fault(nil, s)
	if fault.Service != "web" || !slices.Contains(fault.Excerpt, "no such column") {
		b.Errorf("got %+v, want a Fault of web with the job's lines", fault)
	}
	b.has(fault.Reason, "init job", "exited with status 5")
}

// A service that stays is joined to the new network once its jobs have ended, which have its address until then.
func jobOfKeptService(b *bench) {
	s := stack(web("web"), db())
	s.Services[0].DependsOn = []deploy.Dependency{{Service: "db", Condition: deploy.Healthy}}
	s.Jobs = []deploy.Job{{Service: "db", Run: []string{"/server", "append", "/data/log", "vacuum"}}}
	old := b.up(nil, s)
	b.writes(old, "db", mark, "first")
	young := b.up(old, s)
	b.reads(young, "db", mark, "first")
	b.reads(young, "db", "/data/log", "vacuum\nvacuum\n")
}

// Each replica is a backend, and all of them have to be up.
func replicas(b *bench) {
	front := web("web")
	front.Replicas = 3
	v := b.up(nil, stack(front))
	seen := make(map[string]bool)
	for _, address := range v.backends["web"] {
		if _, err := fetch(b.Context(), address+"/"); err != nil {
			b.Error(err)
		}
		seen[address] = true
	}
	if len(seen) != 3 {
		b.Errorf("web answers at %v, want three places", v.backends["web"])
	}
	sick := web("api", "-once", "/data/mark")
	sick.Replicas = 2
	sick.Mounts = []deploy.Mount{{Volume: "shared", Target: "/data"}}
	if _, fault := b.fault(nil, stack(sick)); fault.Service != "api" {
		b.Errorf("got %+v, want a Fault of the replica that came second", fault)
	}
}

// write makes a file of the checkout.
func (b *bench) write(name, content string, mode os.FileMode) {
	b.Helper()
	name = filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		b.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		b.Fatal(err)
	}
}

// checkout makes one with a folder, a link out of it and a private file.
func (b *bench) checkout() {
	b.Helper()
	b.dir = b.TempDir()
	b.write("conf/app.yml", "colour: blue", 0o600)
	b.write("conf/bin/run", "#!", 0o700)
	b.write("conf/modules/m", "from the checkout", 0o600)
	b.write("top", "single", 0o600)
	if err := os.Symlink("/etc/hostname", filepath.Join(b.dir, "conf", "link")); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) stat(v *version, path, want string) {
	b.Helper()
	if got, err := b.get(v, "/stat", url.Values{"path": {path}}); err != nil || got != want {
		b.Errorf("%s is %q, %v; want %q", path, got, err, want)
	}
}

// Files of the checkout and of the stack are there before the service starts; what is mounted below stays as it is.
func files(b *bench) {
	b.checkout()
	front := web("web")
	front.Mounts = []deploy.Mount{{Volume: "modules", Target: "/app/modules"}}
	front.Files = []deploy.File{
		{Target: "/app", Source: "conf"}, {Target: "/top.txt", Source: "top", Mode: 0o640, UID: 3, GID: 4},
		{Target: "/run/secrets/key", Content: []byte("secret"), Mode: 0o400, UID: 5}, {Target: "/app/app.yml", Content: []byte("colour: red")},
	}
	v := b.up(nil, stack(front))
	b.reads(v, "", "/app/app.yml", "colour: red")
	b.reads(v, "", "/top.txt", "single")
	b.reads(v, "", "/run/secrets/key", "secret")
	b.reads(v, "", "/app/modules/m", "")
	b.stat(v, "/app", "drwxrwxrwx 0:0")
	b.stat(v, "/app/app.yml", "-r--r--r-- 0:0")
	b.stat(v, "/app/bin/run", "-rwxr-xr-x 0:0")
	b.stat(v, "/top.txt", "-rw-r----- 3:4")
	b.stat(v, "/run/secrets/key", "-r-------- 5:0")
	b.stat(v, "/app/link", "Lrwxrwxrwx 0:0 -> /etc/hostname")
}

// The user of a service owns what is copied for it.
func filesOfAUser(b *bench) {
	b.checkout()
	front := web("web")
	front.User = "1000:1001"
	front.Files = []deploy.File{{Target: "/app", Source: "."}}
	v := b.up(nil, stack(front))
	b.stat(v, "/app/conf/app.yml", "-rw-r--r-- 1000:1001")
	b.reads(v, "", "/app/conf/app.yml", "colour: blue")
	if _, err := b.get(v, "/write", url.Values{"path": {"/app/conf/app.yml"}, "text": {"green"}}); err != nil {
		b.Error(err)
	}
}

// What a stack says of a container is seen from inside.
func fields(b *bench) {
	front := web("web")
	front.NoInit = true
	front.CapDrop = []string{"CAP_CHOWN", "kill"}
	front.Ulimits = map[string]deploy.Ulimit{"core": {Soft: 4096, Hard: 8192}}
	front.ShmSize = 32 << 20
	front.Tmpfs = []deploy.Tmpfs{{Target: "/scratch", Size: 1 << 20, Mode: 0o750}}
	front.Labels = map[string]string{"org.example": "x"}
	front.WorkingDir = "/tmp"
	v := b.up(nil, stack(front))
	read := func(path string) string {
		got, err := b.read(v, "", path)
		if err != nil {
			b.Error(err)
		}
		return got
	}
	b.has(read("/proc/1/comm"), "server")
	// The web set without CHOWN, bit 0, and KILL, bit 5 (linux/capability.h).
	b.has(read("/proc/self/status"), "CapEff:\t00000000000005da")
	b.has(strings.Join(strings.Fields(read("/proc/self/limits")), " "), "Max core file size 4096 8192 bytes")
	b.has(read("/proc/self/mounts"), "shm /dev/shm tmpfs", "size=32768k", "tmpfs /scratch tmpfs", "size=1024k", "mode=750")
	without := web("web")
	without.CapDrop = []string{"ALL"}
	v = b.up(nil, stack(without))
	b.has(read("/proc/self/status"), "CapEff:\t0000000000000000")
}

// A health path is asked for as a visitor would.
func healthPath(b *bench) {
	front := web("web")
	front.Environment["VITRINE_URL"] = "https://shop-pr-42.preview.localhost"
	front.HealthPath = "/expect?host=shop-pr-42.preview.localhost&proto=https"
	b.up(nil, stack(front))
	front.HealthPath = "/expect?host=elsewhere"
	front.StartTimeout = time.Second
	_, fault := b.fault(nil, stack(front))
	b.has(fault.Reason, "is not healthy after 1 s", "GET /expect?host=elsewhere answers 404")
}

// A service that is up and answers an error says so with its last lines.
func firstAnswer(b *bench) {
	front := web("web", "-say", "no database")
	front.Environment["VITRINE_URL"] = "https://broken.preview.localhost"
	v := b.up(nil, stack(front))
	if a := v.answers[0]; a.Answer != 500 || !slices.Contains(a.Lines, "no database") {
		b.Errorf("the first answer is %+v, want 500 with the last lines", a)
	}
	v = b.up(v, stack(web("web", "-say", "all is well")))
	if a := v.answers[0]; a.Answer != 200 || len(a.Lines) != 0 {
		b.Errorf("the first answer is %+v, want 200 alone", a)
	}
}

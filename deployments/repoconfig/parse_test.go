package repoconfig

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"vitrine/deployments"
)

func TestParse(t *testing.T) {
	tests := map[string]struct {
		in   string
		want Config
	}{
		"empty":                        {"", Config{}},
		"only comments":                {"# nothing yet\n", Config{}},
		"null":                         {"---\n~\n", Config{}},
		"branches":                     {"branches: [main, \"release/*\"]\n", Config{Branches: []string{"main", "release/*"}}},
		"numbers are branch names too": {"branches: [1.0]\n", Config{Branches: []string{"1.0"}}},
		"compose":                      {"compose: ./deploy/compose.yaml\n", Config{Compose: []string{"deploy/compose.yaml"}}},
		"dockerfile":                   {"dockerfile: docker/Dockerfile.web\n", Config{Dockerfile: "docker/Dockerfile.web"}},
		"ports": {"services:\n  web: {port: 8080}\n  api:\n    port: \"3000\"\n",
			Config{Services: map[string]Service{"web": {Port: 8080}, "api": {Port: 3000}}}},
		"byte order mark": {"\ufeffbranches: [main]\n", Config{Branches: []string{"main"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(FileName, []byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// allKeys are the keys of the whole file as errors name them.
const allKeys = "compose, dockerfile, static, branches, pull_requests, services, init, databases, with, env, ttl, sleep_after, access, open"

func TestParseErrors(t *testing.T) {
	tests := map[string]struct {
		in   string
		want []string // the lines of the excerpt
	}{
		"misspelt key":            {"compse: x.yml\n", []string{".vitrine.yml:1:1: unknown key `compse`, did you mean `compose`?"}},
		"foreign key":             {"jobs: {}\n", []string{".vitrine.yml:1:1: unknown key `jobs`; known here: " + allKeys}},
		"misspelt key in service": {"services: {web: {prot: 1}}\n", []string{".vitrine.yml:1:18: unknown key `prot`, did you mean `port`?"}},
		"twice":                   {"compose: a\ncompose: b\n", []string{".vitrine.yml:2:1: the key `compose` is there twice; keep one"}},
		"no value":                {"compose:\n", []string{".vitrine.yml:1:9: compose has no value; give it one or remove the key"}},
		"list":                    {"- a\n", []string{".vitrine.yml:1:1: the file wants a mapping of keys and values, not a list"}},
		"services as list":        {"services: [web]\n", []string{".vitrine.yml:1:11: services wants a mapping of keys and values, not a list"}},
		"service as port":         {"services: {web: 8080}\n", []string{".vitrine.yml:1:17: services.web wants a mapping of keys and values, not a single value"}},
		"branch alone": {"branches: main\n",
			[]string{".vitrine.yml:1:11: branches wants a list of names or patterns, such as [main, \"release/*\"], not a single value"}},
		"bad pattern": {"branches: [\"a[\"]\n",
			[]string{".vitrine.yml:1:12: \"a[\" is no pattern: close its [ and end no pattern in a backslash"}},
		"port out of range": {"services: {web: {port: 70000}}\n",
			[]string{".vitrine.yml:1:24: services.web.port wants the port where the service answers in its container, 1 to 65535, such as 8080"}},
		"port with host port": {"services: {web: {port: \"80:80\"}}\n",
			[]string{".vitrine.yml:1:24: services.web.port wants the port where the service answers in its container, 1 to 65535, such as 8080"}},
		"outside": {"compose: ../x.yml\n",
			[]string{".vitrine.yml:1:10: compose wants the path of a compose file inside the repository, relative to its root, such as docker-compose.yml"}},
		"absolute": {"dockerfile: /etc/passwd\n",
			[]string{".vitrine.yml:1:13: dockerfile wants the path of a Dockerfile inside the repository, relative to its root, such as docker/Dockerfile"}},
		"both": {"dockerfile: a\ncompose: b\n",
			[]string{".vitrine.yml:2:10: compose and dockerfile exclude each other; keep the one that is to be deployed"}},
		"alias":     {"branches: &b [main]\ncompose: *b\n", []string{".vitrine.yml:2:10: compose is an alias; write its value out"}},
		"merge key": {"<<: {compose: a}\n", []string{".vitrine.yml:1:1: unknown key `<<`; known here: " + allKeys}},
		"syntax":    {"compose: [\n", []string{".vitrine.yml:2: this is not YAML: while parsing a flow node at line 2: did not find expected node content"}},
		"binary":    {"a: \x00", []string{".vitrine.yml: this is not YAML: offset 3: control characters are not allowed"}},
		"two documents": {"compose: a\n---\ncompose: b\n",
			[]string{".vitrine.yml:2:1: there is a second document; keep everything in one, without a line of ---"}},
		"all at once": {"services: {web: {port: 0, prt: 1}}\ncompse: a\nttll: 1\n", []string{
			".vitrine.yml:1:24: services.web.port wants the port where the service answers in its container, 1 to 65535, such as 8080",
			".vitrine.yml:1:27: unknown key `prt`, did you mean `port`?",
			".vitrine.yml:2:1: unknown key `compse`, did you mean `compose`?",
			".vitrine.yml:3:1: unknown key `ttll`, did you mean `ttl`?",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(FileName, []byte(tt.in))
			f := deployments.FaultOf(err)
			if f == nil {
				t.Fatalf("no fault, but %v", err)
			}
			if diff := cmp.Diff(tt.want, f.Excerpt); diff != "" {
				t.Error(diff)
			}
			if f.Kind != deployments.FaultConfig || !strings.HasSuffix(tt.want[0], ": "+f.Reason) || !strings.HasPrefix(tt.want[0], f.Where) {
				t.Errorf("the fault is not of its first line: %+v", f)
			}
		})
	}
}

func TestParseBoundsWhatItReads(t *testing.T) {
	_, err := Parse(FileName, []byte("# "+strings.Repeat("x", MaxSize)))
	if f := deployments.FaultOf(err); f == nil || !strings.Contains(f.Reason, "at most 65536") {
		t.Errorf("large file: %v", err)
	}
	var many strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&many, "key%d: 1\n", i)
	}
	_, err = Parse(FileName, []byte(many.String()))
	f := deployments.FaultOf(err)
	if f == nil || len(f.Excerpt) != maxListed+1 || f.Excerpt[maxListed] != "and 2980 more" {
		t.Errorf("many problems: %v", err)
	}
}

// leaves reports whether a path leaves the repository.
func leaves(p string) bool { return p != "" && !filepath.IsLocal(p) }

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "branches: [main, \"release/*\"]", "services: {web: {port: 8080}}", "compose: a\n---\nb", "a: &a [*a]", "? [a]\n: b",
		"x: &x {a: 1}\nservices: {<<: *x}", "!!binary x: y", "\xff", "compose: !!set {a}",
		"compose: [a, b]\nttl: 1h30m\nopen: [/a]", "init: [{service: web, run: [a]}]\nwith: [{repo: a/b}]", everyKey,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(FileName, data)
		if err != nil {
			if fault := deployments.FaultOf(err); fault == nil || fault.Reason == "" || len(fault.Excerpt) > maxListed+1 {
				t.Fatalf("not a fault that can be shown: %v", err)
			}
			return
		}
		if len(c.Compose) > 0 && c.Dockerfile != "" || slices.ContainsFunc(append(c.Compose, c.Dockerfile), leaves) {
			t.Fatalf("let through %+v", c)
		}
		for name := range c.Env {
			if strings.HasPrefix(name, "VITRINE_") || strings.ContainsAny(name, "=\x00\n") {
				t.Fatalf("let the variable %q through", name)
			}
		}
		for _, j := range c.Init {
			if j.Service == "" || len(j.Run) == 0 {
				t.Fatalf("let the job %+v through", j)
			}
		}
		if c.TTL < 0 || c.SleepAfter < 0 {
			t.Fatalf("let %s and %s through", c.TTL, c.SleepAfter)
		}
		for name, s := range c.Services {
			if s.Port < 0 || s.Port > 65535 {
				t.Fatalf("service %q at port %d", name, s.Port)
			}
		}
	})
}

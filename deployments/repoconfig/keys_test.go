package repoconfig

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"vitrine/deployments"
)

// everyKey is a file with each key once, except those that exclude another.
const everyKey = `compose: [docker-compose.yml, deploy/preview.yml]
branches: [main, "release/*"]
pull_requests: {drafts: true, bots: false, label: "", paths: ["src/**"], forks: approve}
services:
  web: {port: 8080, host: "", health: {path: /healthz, timeout: 60s}, resources: {memory: 512m, cpus: 1}, replace: beside}
  db: {replace: in-place}
init:
  - {service: web, run: ["bin/rails", "db:migrate"], when: always}
  - {service: web, run: [sleep, 5], when: first}
databases: [{name: shop, service: db}]
with: [{repo: acme/front, branch: same}]
env:
  FEATURE_X: "on"
  WORKERS: 2
  DEBUG: true
  EMPTY: ""
  SECRET_KEY_BASE: {generate: 64}
  STRIPE_KEY: {required: "ask the payments team", fork: none}
  MAPS_KEY: {fork: "dummy"}
  S3_KEY: {encrypted: "age..."}
ttl: 168h
sleep_after: 30m
access: link
open: [/webhooks/]
`

func pointer[T any](v T) *T { return &v }

func TestParseEveryKey(t *testing.T) {
	got, err := Parse(FileName, []byte(everyKey))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Compose:      []string{"docker-compose.yml", "deploy/preview.yml"},
		Branches:     []string{"main", "release/*"},
		PullRequests: PullRequests{Drafts: pointer(true), Bots: pointer(false), Paths: []string{"src/**"}, Forks: ForksApprove},
		Services: map[string]Service{
			"web": {
				Port: 8080, Host: pointer(""), Health: Health{Path: "/healthz", Timeout: time.Minute}, Resources: Resources{Memory: 512 << 20, CPUs: 1},
				Replace: ReplaceBeside,
			},
			"db": {Replace: ReplaceInPlace},
		},
		Init: []Job{
			{Service: "web", Run: []string{"bin/rails", "db:migrate"}, When: Always},
			{Service: "web", Run: []string{"sleep", "5"}, When: First},
		},
		Databases: []Database{{Name: "shop", Service: "db"}},
		With:      []Companion{{Repo: "acme/front", Branch: "same"}},
		Env: map[string]deployments.Declaration{
			"FEATURE_X":       {Value: pointer("on"), Where: ".vitrine.yml:13"},
			"WORKERS":         {Value: pointer("2"), Where: ".vitrine.yml:14"},
			"DEBUG":           {Value: pointer("true"), Where: ".vitrine.yml:15"},
			"EMPTY":           {Value: pointer(""), Where: ".vitrine.yml:16"},
			"SECRET_KEY_BASE": {Generate: 64, Where: ".vitrine.yml:17"},
			"STRIPE_KEY":      {Required: "ask the payments team", Fork: pointer("none"), Where: ".vitrine.yml:18"},
			"MAPS_KEY":        {Fork: pointer("dummy"), Where: ".vitrine.yml:19"},
			"S3_KEY":          {Encrypted: "age...", Where: ".vitrine.yml:20"},
		},
		TTL: 168 * time.Hour, SleepAfter: 30 * time.Minute, Access: AccessLink, Open: []string{"/webhooks/"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Error(diff)
	}
	notes := []string{
		".vitrine.yml:10: `databases` has no effect yet.",
		".vitrine.yml:11: `with` has no effect yet.", ".vitrine.yml:20: `env.S3_KEY.encrypted` has no effect yet.",
		".vitrine.yml:22: `sleep_after` has no effect yet.", ".vitrine.yml:23: `access` has no effect yet.", ".vitrine.yml:24: `open` has no effect yet.",
	}
	if diff := cmp.Diff(notes, got.Notes()); diff != "" {
		t.Error(diff)
	}
	if got := got.Where("init[1].run"); got != ".vitrine.yml:9" {
		t.Errorf("the second job's command is at %s", got)
	}
}

func TestParseValues(t *testing.T) {
	tests := map[string]struct {
		in   string
		want Config
	}{
		"static":             {"static: public/\n", Config{Static: "public"}},
		"static root":        {"static: .\n", Config{Static: "."}},
		"one compose file":   {"compose: [a.yml]\n", Config{Compose: []string{"a.yml"}}},
		"days and weeks":     {"ttl: 1w2d\n", Config{TTL: 9 * 24 * time.Hour}},
		"hours and minutes":  {"ttl: 1h30m\n", Config{TTL: 90 * time.Minute}},
		"as long as can be":  {"ttl: 999999999w\n", Config{TTL: math.MaxInt64}},
		"bytes":              {"services: {a: {resources: {memory: 536870912}}}\n", Config{Services: map[string]Service{"a": {Resources: Resources{Memory: 512 << 20}}}}},
		"gibibytes":          {"services: {a: {resources: {memory: 1.5GiB}}}\n", Config{Services: map[string]Service{"a": {Resources: Resources{Memory: 3 << 29}}}}},
		"quoted processors":  {"services: {a: {resources: {cpus: \"0.5\"}}}\n", Config{Services: map[string]Service{"a": {Resources: Resources{CPUs: 0.5}}}}},
		"a date is a branch": {"branches: [2026-11-21]\n", Config{Branches: []string{"2026-11-21"}}},
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

// Each of these is wrong in one place, which the error names together with what would be right.
func TestParseTellsWhatWouldBeRight(t *testing.T) {
	tests := map[string]string{
		"static: ../x\n":                    ":1:9: static wants the path of a folder inside the repository, relative to its root, such as public/",
		"static: a\ndockerfile: b\n":        ":2:13: dockerfile and static exclude each other; keep the one that is to be deployed",
		"compose: []\n":                     ":1:10: compose is empty; it wants a path or a list of paths, such as [docker-compose.yml, compose.preview.yml]",
		"compose: [a, b/../../c]\n":         ":1:14: compose[1] wants the path of a compose file inside the repository, relative to its root, such as docker-compose.yml",
		"compose: {a: b}\n":                 ":1:10: compose wants a path or a list of paths, such as [docker-compose.yml, compose.preview.yml], not a mapping",
		"pull_requests: {drafts: yes}\n":    ":1:25: pull_requests.drafts wants true or false",
		"pull_requests: {forks: always}\n":  ":1:24: pull_requests.forks wants approve or never",
		"pull_requests: {paths: src}\n":     ":1:24: pull_requests.paths wants a list of paths or patterns, such as [\"src/**\"], not a single value",
		"pull_requests: {paths: [\"!\"]}\n": ":1:25: pull_requests.paths[0] wants a path or a pattern, such as \"src/**\", or \"!**/*.md\" for what does not count, at most 200 characters",
		"pull_requests: {paths: [" + strings.Repeat("a, ", 100) + "a]}\n": ":1:24: pull_requests.paths has 101 patterns; there can be 100",
		"pull_requests: {paths: [\"**/[a\"]}\n":                           ":1:25: \"**/[a\" is no pattern: close its [ and end no pattern in a backslash",
		"pull_requests: {paths: [\"!a/[\"]}\n":                            ":1:25: \"!a/[\" is no pattern: close its [ and end no pattern in a backslash",
		"services: {web: {host: Shop}}\n":                                 ":1:24: services.web.host wants what its host is to begin with: letters, digits and dashes, lower-case, such as shop, or nothing",
		"services: {web: {health: {path: healthz}}}\n":                    ":1:33: services.web.health.path wants a path that begins with a slash, such as /healthz",
		"services: {web: {health: {timeout: 60}}}\n":                      ":1:36: services.web.health.timeout wants how long it may take to become healthy, such as 60s",
		"services: {web: {resources: {memory: lots}}}\n":                  ":1:38: services.web.resources.memory wants an amount of memory, such as 512m or 1g",
		"services: {web: {resources: {cpus: 0}}}\n":                       ":1:36: services.web.resources.cpus wants a number of processors above 0, such as 0.5",
		"services: {web: {replace: never}}\n":                             ":1:27: services.web.replace wants beside or in-place",
		"init: [{run: [a]}]\n":                                            ":1:8: init[0] needs the key `service`",
		"init: [{service: web, run: bin/migrate}]\n":                      ":1:28: init[0].run wants a command and its arguments as a list, such as [\"bin/rails\", \"db:migrate\"], not a single value",
		"init: [{service: web, run: [a], wen: first}]\n":                  ":1:33: unknown key `wen`, did you mean `when`?",
		"init: [null]\n":                                         ":1:8: init[0] has no value; give it one or remove the key",
		"databases: [{name: a}]\n":                               ":1:13: databases[0] needs the key `service`",
		"with: [{repo: front}]\n":                                ":1:15: with[0].repo wants a repository, such as acme/front",
		"env: {1A: x}\n":                                         ":1:7: env.1A: a variable's name has letters, digits and _, and neither begins with a digit nor with VITRINE_",
		"env: {VITRINE_URL: x}\n":                                ":1:7: env.VITRINE_URL: a variable's name has letters, digits and _, and neither begins with a digit nor with VITRINE_",
		"env: {A: {generate: 4}}\n":                              ":1:21: env.A.generate wants how many hexadecimal digits the value has, 16 to 1024, such as 64",
		"env: {A: {generate: 64, required: me}}\n":               ":1:35: generate and required exclude each other; a variable has its value from one of them",
		"env: {A: {}}\n":                                         ":1:10: env.A wants a value, or one of {generate: 64}, {required: \"whom to ask\"}, {fork: \"dummy\"} and {encrypted: \"age...\"}",
		"env: {A: {genrate: 64}}\n":                              ":1:11: unknown key `genrate`, did you mean `generate`?",
		"env: {A: [x]}\n":                                        ":1:10: env.A wants a value, or one of {generate: 64}, {required: \"whom to ask\"}, {fork: \"dummy\"} and {encrypted: \"age...\"}, not a list",
		"env: {A: {required: true}}\n":                           ":1:21: env.A.required wants whom to ask for the value, such as \"ask the payments team\"",
		"env: {A: {encrypted: plain}}\n":                         ":1:22: env.A.encrypted wants a value that is encrypted for the server, which begins with age or with -----BEGIN AGE",
		"ttl: 0h\n":                                              ":1:6: ttl wants how long a preview stays, such as 36h, 3d or 2w",
		"ttl: 7\n":                                               ":1:6: ttl wants how long a preview stays, such as 36h, 3d or 2w",
		"sleep_after: -5m\n":                                     ":1:14: sleep_after wants a time, such as 30m",
		"access: everybody\n":                                    ":1:9: access wants public, github or link",
		"open: [webhooks]\n":                                     ":1:8: open[0] wants a path that begins with a slash, such as /healthz",
		"ttl: 1h\naccess: link\nttll: 2h\n":                      ":3:1: unknown key `ttll`, did you mean `ttl`?",
		"services: {web: {port: 1, health: {paht: /}}}\n":        ":1:36: unknown key `paht`, did you mean `path`?",
		"services: {web: {resources: {memory: 1g, disk: 1g}}}\n": ":1:42: unknown key `disk`; known here: memory, cpus",
	}
	for in, want := range tests {
		_, err := Parse(FileName, []byte(in))
		f := deployments.FaultOf(err)
		if f == nil {
			t.Errorf("%q: no fault, but %v", in, err)
			continue
		}
		if want = FileName + want; len(f.Excerpt) != 1 || f.Excerpt[0] != want {
			t.Errorf("%q:\n got %s\nwant %s", in, strings.Join(f.Excerpt, "\n     "), want)
		}
	}
}

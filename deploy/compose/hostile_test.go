package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/schema"
	"golang.org/x/tools/txtar"

	"vitrine/deploy"
	"vitrine/deploy/compose/internal/checkout"
	"vitrine/deploy/compose/internal/policy"
	"vitrine/deployments"
)

// readFault reads a checkout that is to be refused.
func readFault(t *testing.T, dir string) *deployments.Fault {
	t.Helper()
	stack, err := New(Config{}).Read(t.Context(), "acme/shop", dir, deployments.Values{Own: testVars()})
	f := deployments.FaultOf(err)
	if f == nil {
		t.Fatalf("not refused: %s %v", stack.JSON, err)
	}
	return f
}

func TestSymbolicLinksAreNotFollowed(t *testing.T) {
	const file = "services: {web: {image: a, ports: [\"8080\"]}}\n"
	outside := t.TempDir()
	write(t, outside, "compose.yaml", file)
	write(t, outside, "Dockerfile", "FROM scratch\nEXPOSE 80\n")
	tests := map[string]struct {
		files map[string]string
		links map[string]string
		want  string
	}{
		"compose file outside": {nil, map[string]string{"compose.yaml": filepath.Join(outside, "compose.yaml")},
			"compose.yaml: compose.yaml is a symbolic link, which is not followed; name the file itself"},
		"compose file inside": {map[string]string{"a.yaml": file}, map[string]string{"compose.yaml": "a.yaml"},
			"compose.yaml: compose.yaml is a symbolic link, which is not followed; name the file itself"},
		"dangling": {nil, map[string]string{"compose.yaml": "nowhere"},
			"compose.yaml: compose.yaml is a symbolic link, which is not followed; name the file itself"},
		"configuration": {map[string]string{"compose.yaml": file}, map[string]string{".vitrine.yml": "/etc/hostname"},
			".vitrine.yml: .vitrine.yml is a symbolic link, which is not followed; name the file itself"},
		"folder of the compose file": {map[string]string{".vitrine.yml": "compose: deploy/compose.yaml\n"}, map[string]string{"deploy": outside},
			".vitrine.yml:1: deploy is a symbolic link, which is not followed; name the file itself"},
		"lone Dockerfile": {nil, map[string]string{"Dockerfile": filepath.Join(outside, "Dockerfile")},
			"Dockerfile: Dockerfile is a symbolic link, which is not followed; name the file itself"},
		"context": {map[string]string{"compose.yaml": "services: {web: {build: ./app, ports: [\"80\"]}}\n"}, map[string]string{"app": outside},
			"compose.yaml:1: services.web.build: app is a symbolic link, which is not followed; name the file itself"},
		"above the context": {map[string]string{"compose.yaml": "services: {web: {build: ./app/sub, ports: [\"80\"]}}\n"}, map[string]string{"app": "/"},
			"compose.yaml:1: services.web.build: app is a symbolic link, which is not followed; name the file itself"},
		"further context": {map[string]string{"compose.yaml": "services: {web: {build: {context: ., additional_contexts: {a: in}}, ports: [\"80\"]}}\n", "Dockerfile": "FROM a\n"},
			map[string]string{"in": "/etc"}, "compose.yaml:1: services.web.build.additional_contexts.a: in is a symbolic link, which is not followed; name the file itself"},
		"Dockerfile in a context": {map[string]string{"compose.yaml": "services: {web: {build: ., ports: [\"80\"]}}\n"},
			map[string]string{"Dockerfile": filepath.Join(outside, "Dockerfile")},
			"compose.yaml:1: services.web.build: Dockerfile is a symbolic link, which is not followed; name the file itself"},
		"included": {map[string]string{"compose.yaml": "include: [a.yaml]\n" + file}, map[string]string{"a.yaml": filepath.Join(outside, "compose.yaml")},
			"compose.yaml:1: a.yaml is a symbolic link, which is not followed; name the file itself"},
		"extended": {map[string]string{"compose.yaml": "services: {web: {extends: {file: in/compose.yaml, service: web}}}\n"}, map[string]string{"in": outside},
			"compose.yaml:1: in is a symbolic link, which is not followed; name the file itself"},
		"variables": {map[string]string{"compose.yaml": "services: {web: {image: a, ports: [\"80\"], env_file: .env}}\n"}, map[string]string{".env": "/proc/self/environ"},
			"compose.yaml:1: services.web.env_file: .env is a symbolic link, which is not followed; name the file itself"},
		"bind": {map[string]string{"compose.yaml": "services: {web: {image: a, ports: [\"80\"], volumes: [\"./in:/in\"]}}\n"}, map[string]string{"in": "/etc"},
			"compose.yaml:1: services.web.volumes[0]: in is a symbolic link, which is not followed; name the file itself"},
		"bind below": {map[string]string{"compose.yaml": "services: {web: {image: a, ports: [\"80\"], volumes: [\"./in/passwd:/in\"]}}\n"}, map[string]string{"in": "/etc"},
			"compose.yaml:1: services.web.volumes[0]: in is a symbolic link, which is not followed; name the file itself"},
		"secret": {map[string]string{"compose.yaml": "services: {web: {image: a, ports: [\"80\"], secrets: [s]}}\nsecrets: {s: {file: s}}\n"}, map[string]string{"s": "/etc/shadow"},
			"compose.yaml:2: services.web.secrets[0]: s is a symbolic link, which is not followed; name the file itself"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range tt.files {
				write(t, dir, file, content)
			}
			for link, to := range tt.links {
				if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
					t.Fatal(err)
				}
			}
			if got := readFault(t, dir).Error(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// A folder that is copied in may hold links. They are copied as links, and lead nowhere on the server.
func TestLinksInFoldersAreNotFollowed(t *testing.T) {
	sum := func(target string) string {
		dir := t.TempDir()
		write(t, dir, "compose.yaml", "services: {web: {image: a, ports: [\"80\"], volumes: [\"./in:/in\"]}}\n")
		write(t, dir, "in/a", "a")
		if err := os.Symlink(target, filepath.Join(dir, "in", "link")); err != nil {
			t.Fatal(err)
		}
		return readStack(t, dir).Services[0].Files[0].Sum
	}
	outside := t.TempDir()
	write(t, outside, "secret", "before")
	before := sum(filepath.Join(outside, "secret"))
	write(t, outside, "secret", "after")
	if sum(filepath.Join(outside, "secret")) != before {
		t.Error("what the link leads to is a part of the sum")
	}
	if sum("elsewhere") == before {
		t.Error("what the link says is no part of the sum")
	}
}

// readStack reads a checkout that is to be deployed.
func readStack(t *testing.T, dir string) deploy.Stack {
	t.Helper()
	answer, err := New(Config{}).Read(t.Context(), "acme/shop", dir, deployments.Values{Own: testVars()})
	if err != nil {
		t.Fatal(err)
	}
	var stack deploy.Stack
	if err := json.Unmarshal(answer.JSON, &stack); err != nil {
		t.Fatal(err)
	}
	return stack
}

func TestOnlyRegularFilesAreRead(t *testing.T) {
	for _, name := range []string{"compose.yaml", ".vitrine.yml", "Dockerfile"} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if got := readFault(t, dir).Error(); got != name+": "+name+" is not a regular file" {
			t.Error(got)
		}
	}
}

// A growing is a compose file that would take long or much memory if it were followed to its end, and what it is refused with.
type growing struct{ file, want string }

func growingFiles() map[string]growing {
	service := "  web:\n    image: a\n    ports: [\"8080\"]\n"
	var thousands, laughs strings.Builder
	thousands.WriteString("services:\n")
	for i := range 10_000 {
		fmt.Fprintf(&thousands, "  s%d: {image: a}\n", i)
	}
	laughs.WriteString("x-0: &x0 [lol, lol]\n")
	for i := range 40 {
		fmt.Fprintf(&laughs, "x-%d: &x%d [*x%d, *x%d, *x%d]\n", i+1, i+1, i, i, i)
	}
	aliases := "x-long: &long \"" + strings.Repeat("x", 500_000) + "\"\nx-many: [" + strings.Repeat("*long,", 1000) + "]\nservices:\n" + service
	return map[string]growing{
		"10,000 services":          {thousands.String(), "there are 10000 services; a preview may have 25"},
		"billion laughs":           {laughs.String() + "services:\n" + service, "with its aliases followed the file, or all of them together, have more than"},
		"long alias":               {aliases, "with its aliases followed the file, or all of them together, have more than"},
		"depth":                    {"services: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "levels deep"},
		"size":                     {"services:\n" + service + "# " + strings.Repeat("x", checkout.MaxFile), "compose.yaml is larger than 1 MiB"},
		"unknown keys":             {"services:\n" + service + keys("    k%d: 1\n", 20_000), "services.web has 20002 entries; at most 250 are read"},
		"ports":                    {"services:\n  web:\n    image: a\n    ports:\n" + keys("      - 1%04d-60000\n", 90), "there are more than 100 of them"},
		"many ports":               {"services:\n  web:\n    image: a\n    ports:\n" + keys("      - %d\n", 200), "there are more than 100 of them"},
		"variables of one service": {"services:\n" + service + "    environment:\n" + keys("      - K%d=1\n", 20_000), "services.web.environment has 20000 entries"},
		"mounts":                   {"services:\n" + service + "    volumes:\n" + keys("      - /v%d\n", 200), "there are 200 mounts; a service may have 50"},
		"aliases":                  {"services:\n" + service + "    networks:\n      default:\n        aliases:\n" + keys("          - a%d\n", 200), "more than 50 aliases"},
		"volumes":                  {"services:\n" + service + threeWithVolumes() + "volumes:\n" + keys("  v%d:\n", 90), "the services use 90 volumes; a preview may have 50"},
		"nested template":          {"services:\n" + service + "    user: \"" + strings.Repeat("${A:-", 20_000) + strings.Repeat("}", 20_000) + "\"\n", "a value with variables may have"},
		"template":                 {"services:\n" + service + "    user: \"" + strings.Repeat("$A", 20_000) + "\"\n", "a value with variables may have"},
		"profiles":                 {"services:\n" + service + keys("  s%d: {image: a, profiles: [x]}\n", 300), "there are 301 services"},
		"containers":               {"services:\n" + service + "    scale: 26\n", "26 containers cannot be had"},
		"extends":                  {"services:\n" + service + keys("  s%d: {image: a}\n", 1) + chain(20), "services extend each other more than 10 deep"},
		"merged lists":             {"services:\n" + service + grown(3), "merged it has more than 250 entries"},
		"variables": {"services:\n" + service + "    environment:\n" + keys("      K%d: "+strings.Repeat("$A", 60)+"\n", 200),
			"the file uses variables more than 5000 times"},
	}
}

func TestFilesThatGrow(t *testing.T) {
	for name, tt := range growingFiles() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "compose.yaml", tt.file)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			f := readFault(t, dir)
			if ctx.Err() != nil {
				t.Error("it took for ever")
			}
			if !strings.Contains(f.Reason, tt.want) {
				t.Errorf("refused with %s", f)
			}
			if len(f.Excerpt) > maxListed+1 {
				t.Errorf("%d lines are listed", len(f.Excerpt))
			}
		})
	}
}

// Each of the files that grow, and of the archives that are refused, is read once in each round. What is reported besides is the slowest of all readings.
func BenchmarkHostileFiles(b *testing.B) {
	dirs := map[string]string{}
	for name, g := range growingFiles() {
		dirs[name] = b.TempDir()
		write(b, dirs[name], "compose.yaml", g.file)
	}
	archives, err := filepath.Glob("testdata/no-*.txtar")
	if err != nil || len(archives) == 0 {
		b.Fatal("no archives in testdata", err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			b.Fatal(err)
		}
		dirs[name] = unpack(b, archive)
	}
	var slowest time.Duration
	var which string
	for b.Loop() {
		for name, dir := range dirs {
			began := time.Now()
			_, err := New(Config{}).Read(b.Context(), "acme/shop", dir, deployments.Values{Own: testVars()})
			if took := time.Since(began); took > slowest {
				slowest, which = took, name
			}
			if deployments.FaultOf(err) == nil {
				b.Fatalf("%s is not refused: %v", name, err)
			}
		}
	}
	b.ReportMetric(float64(len(dirs)), "files")
	b.ReportMetric(float64(slowest.Microseconds())/1000, "ms/slowest")
	b.Logf("the slowest of %d files is %s: %v", len(dirs), which, slowest)
}

// A file that is included again and again is merged again and again.
func TestIncludesAreCounted(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "compose.yaml", "include: ["+strings.Repeat("a.yaml,", 3)+"]\nservices: {web: {image: a, ports: [\"80\"]}}\n")
	write(t, dir, "a.yaml", "include: ["+strings.Repeat("b.yaml,", 100)+"]\n")
	write(t, dir, "b.yaml", "services: {b: {image: b}}\n")
	if f := readFault(t, dir); !strings.Contains(f.Reason, "or 50 times") {
		t.Error(f)
	}
}

// keys repeats a line with a number in it.
func keys(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// chain is services of which each extends the one before.
func chain(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  s%d: {extends: s%d}\n", i+1, i)
	}
	return b.String()
}

// grown is services of which each extends the one before, and has 100 entries more.
func grown(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  s%d:\n    extends: %s\n    environment:\n", i, []string{"web", fmt.Sprintf("s%d", i-1)}[min(i, 1)])
		for j := range 100 {
			fmt.Fprintf(&b, "      - K%d=1\n", 100*i+j)
		}
	}
	return b.String()
}

func threeWithVolumes() string {
	var b strings.Builder
	for i := range 3 {
		fmt.Fprintf(&b, "  s%d:\n    image: a\n    volumes:\n", i)
		for j := range 30 {
			fmt.Fprintf(&b, "      - v%d:/v%d\n", 30*i+j, j)
		}
	}
	return b.String()
}

// What the environment of this process holds is nobody's business.
func TestTheProcessEnvironmentIsNotRead(t *testing.T) {
	t.Setenv("OPERATOR_SECRET", "hidden")
	t.Setenv("COMPOSE_FILE", "/etc/passwd")
	dir := t.TempDir()
	write(t, dir, "compose.yaml", `services:
  web:
    build: {context: ., args: [OPERATOR_SECRET]}
    ports: ["8080"]
    environment: {A: "${OPERATOR_SECRET}", B: "${OPERATOR_SECRET:-none}", OPERATOR_SECRET: }
`)
	write(t, dir, "Dockerfile", "FROM scratch\n")
	write(t, dir, ".env", "OPERATOR_SECRET=hidden\n")
	stack, err := New(Config{}).Read(t.Context(), "acme/shop", dir, deployments.Values{})
	if err != nil {
		t.Fatal(err)
	}
	if all := fmt.Sprintf("%s %v %v", stack.JSON, stack.Builds, stack.Notes); strings.Contains(all, "hidden") {
		t.Error(all)
	}
}

// The specification may gain fields. None of them passes before somebody decided about it.
func TestEveryOtherFieldOfTheSpecificationIsRefused(t *testing.T) {
	supported := map[string]bool{}
	for _, p := range policy.File().Paths() {
		supported[p.String()] = true
	}
	refusedOnes := 0
	for _, p := range schema.AttributePaths() {
		parts := p.Parts()
		if supported[p.String()] || len(parts) > 3 || parts[len(parts)-1] == "*" || strings.Contains(p.String(), "[]") {
			continue
		}
		if !supported[strings.Join(parts[:len(parts)-1], ".")] && len(parts) > 1 {
			continue // what it lies in is refused already
		}
		doc := "1"
		for i := len(parts) - 1; i >= 0; i-- {
			doc = fmt.Sprintf("{%s: %s}", strings.ReplaceAll(parts[i], "*", "web"), doc)
		}
		if len(parts) == 3 && parts[0] != "services" || len(parts) == 1 {
			doc = strings.TrimSuffix(doc, "}") + ", services: {web: {image: a}}}"
		}
		dir := t.TempDir()
		write(t, dir, "compose.yaml", doc)
		name := strings.ReplaceAll(p.String(), "*", "web")
		if f := readFault(t, dir); !strings.HasPrefix(f.Reason, name+" is not ") {
			t.Errorf("%s: %s", p, f.Reason)
		}
		refusedOnes++
	}
	if refusedOnes < 45 {
		t.Errorf("only %d fields were tried", refusedOnes)
	}
}

package builder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"vitrine/deployments"
)

func TestReadRecipe(t *testing.T) {
	const from = "FROM scratch\n"
	tests := []struct {
		name  string
		files map[string]string
		build deployments.Build
		want  string // the Dockerfile's name, or what is wrong
	}{
		{"the root's", map[string]string{"Dockerfile": from}, deployments.Build{Context: "."}, "Dockerfile"},
		{"no context given", map[string]string{"Dockerfile": from}, deployments.Build{}, "Dockerfile"},
		{"a folder's", map[string]string{"api/Dockerfile": from}, deployments.Build{Context: "./api/"}, "api/Dockerfile"},
		{"in lower case", map[string]string{"api/dockerfile": from}, deployments.Build{Context: "api"}, "api/dockerfile"},
		{"by name", map[string]string{"api/docker/web": from}, deployments.Build{Context: "api", Dockerfile: "docker/web"}, "api/docker/web"},
		{"inline", map[string]string{"a": ""}, deployments.Build{Context: ".", Inline: from}, "dockerfile_inline"},
		{"a link in the checkout", map[string]string{"Dockerfile": from, "api/Dockerfile": "-> ../Dockerfile"}, deployments.Build{Context: "api"}, "api/Dockerfile"},
		{"a linked folder", map[string]string{"real/Dockerfile": from, "api": "-> real"}, deployments.Build{Context: "api"}, "api/Dockerfile"},

		{"outside", map[string]string{"Dockerfile": from}, deployments.Build{Context: ".", Dockerfile: "../Dockerfile"}, "has to lie in the build's context"},
		{"absolute", nil, deployments.Build{Context: ".", Dockerfile: "/etc/passwd"}, "has to lie in the build's context"},
		{"context outside", nil, deployments.Build{Context: ".."}, "escapes"},
		{"context absolute", nil, deployments.Build{Context: "/etc"}, "escapes"},
		{"context through a link", map[string]string{"etc": "-> /etc"}, deployments.Build{Context: "etc"}, "escapes"},
		{"link outside", map[string]string{"Dockerfile": "-> /etc/passwd"}, deployments.Build{Context: "."}, "escapes"},
		{"relative link outside", map[string]string{"api/Dockerfile": "-> ../../secret"}, deployments.Build{Context: "api"}, "escapes"},
		{"ignore list outside", map[string]string{"Dockerfile": from, ".dockerignore": "-> ../secret"}, deployments.Build{Context: "."}, "escapes"},
		{"a folder", map[string]string{"Dockerfile/x": ""}, deployments.Build{Context: "."}, "it is not a file"},
		{"context is a file", map[string]string{"api": ""}, deployments.Build{Context: "api"}, "is not a folder"},
		{"no context", nil, deployments.Build{Context: "api"}, "is not there"},
		{"a bad pattern", map[string]string{"Dockerfile": from, ".dockerignore": "ok\n[\n"}, deployments.Build{Context: "."}, "a pattern cannot be read"},
		{"its own bad pattern", map[string]string{"Dockerfile": from, "Dockerfile.dockerignore": "[a-\n"}, deployments.Build{Context: "."}, "a pattern cannot be read"},
		{"too large", map[string]string{"Dockerfile": from + strings.Repeat("#", maxDockerfile)}, deployments.Build{Context: "."}, "larger than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			outside := t.TempDir()
			writeFiles(t, outside, map[string]string{"secret": "FROM scratch\nLABEL secret=1\n"})
			checkout := filepath.Join(outside, "checkout")
			check(t, os.Mkdir(checkout, 0o755))
			writeFiles(t, checkout, test.files)
			r, err := readRecipe(checkout, test.build)
			if err != nil {
				if f := fault(t, err, deployments.FaultBuild); !strings.Contains(f.Reason, test.want) || f.Where == "" {
					t.Errorf("got %q at %q, want %q", f.Reason, f.Where, test.want)
				}
				return
			}
			if r.name != test.want || !strings.HasPrefix(string(r.dockerfile), from) {
				t.Errorf("got %q with %q, want %q", r.name, r.dockerfile, test.want)
			}
		})
	}
}

// FuzzReadRecipe looks for names that lead out of the checkout.
func FuzzReadRecipe(f *testing.F) {
	for _, s := range [][2]string{
		{".", "Dockerfile"}, {"..", "secret"}, {"a/../..", "secret"}, {"link", "secret"}, {"a", "../../secret"}, {"a\x00", "x"}, {"a", "../link/secret"},
		{"//", "\\"}, {"a/../link", "secret"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, context, dockerfile string) {
		outside := t.TempDir()
		writeFiles(t, outside, map[string]string{
			"secret": "FROM secret\n", "Dockerfile": "FROM secret\n",
			"checkout/link": "-> ..", "checkout/a/Dockerfile": "FROM scratch\n", "checkout/Dockerfile": "FROM scratch\n",
		})
		checkout := filepath.Join(outside, "checkout")
		r, err := readRecipe(checkout, deployments.Build{Context: context, Dockerfile: dockerfile})
		if err != nil {
			return
		}
		real, err := filepath.EvalSymlinks(checkout)
		check(t, err)
		inside, err := filepath.Rel(real, r.context)
		if err != nil || !filepath.IsLocal(inside) || strings.Contains(string(r.dockerfile), "secret") {
			t.Errorf("%q and %q lead to %q in %q", context, dockerfile, r.dockerfile, r.context)
		}
	})
}

func FuzzCheckPatterns(f *testing.F) {
	for _, s := range []string{"a\n!b\n", "[", "**/../x", "\xff", "!", "a/**/b\n# x", "\ufeffx", "[a-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if err := checkPatterns(ignoreName, []byte(text)); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}

func TestDeclared(t *testing.T) {
	const dockerfile = "ARG A=1\nARG B C=3\nFROM scratch\narg D\nARG BUILDKIT_SYNTAX\nARG TARGETPLATFORM\nARG HTTP_PROXY\nRUN [\"E\"]\n"
	parsed, err := parser.Parse(strings.NewReader(dockerfile))
	check(t, err)
	args := map[string]string{}
	for _, name := range []string{"A", "B", "C", "D", "E", "BUILDKIT_SYNTAX", "TARGETPLATFORM", "HTTP_PROXY", "HTTPS_PROXY", "SOURCE_DATE_EPOCH"} {
		args[name] = "x"
	}
	want := map[string]string{"A": "x", "B": "x", "C": "x", "D": "x", "HTTP_PROXY": "x"}
	if diff := cmp.Diff(want, declared(parsed.AST, args)); diff != "" {
		t.Error(diff)
	}
}

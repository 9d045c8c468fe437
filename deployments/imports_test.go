package deployments_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "vitrine"

// importedBy says which packages, by their paths in this module, may import the packages outside of it whose path is prefix or begins with
// prefix and a slash. An external system has one owner, so that what it can do, and how it fails, is known in one place.
type importedBy struct {
	prefix string
	owners []string
}

// owners holds every library that only some packages may import. The first entry that matches counts: the exceptions stand before the rule.
func owners() []importedBy {
	return []importedBy{
		{"modernc.org/sqlite", []string{"deployments/sqlite"}},
		{"github.com/robfig/cron", []string{"deployments"}},
		{"github.com/google/go-github", []string{"bot"}},
		{"github.com/bradleyfalzon/ghinstallation", []string{"bot"}},
		// These read a Dockerfile and speak with nobody.
		{"github.com/moby/buildkit/frontend/dockerfile/command", []string{"builder", "deploy/compose"}},
		{"github.com/moby/buildkit/frontend/dockerfile/instructions", []string{"builder", "deploy/compose"}},
		{"github.com/moby/buildkit/frontend/dockerfile/parser", []string{"builder", "deploy/compose"}},
		{"github.com/moby/buildkit/frontend/dockerfile/shell", []string{"builder", "deploy/compose"}},
		// The benchmark compares with what raw calls to the engine would take.
		{"github.com/moby/buildkit", []string{"builder", "cmd/bench"}},
		{"github.com/docker/docker", []string{"builder", "deploy/docker", "cmd/bench"}},
		{"github.com/distribution/distribution", []string{"builder/registry"}},
		{"github.com/compose-spec/compose-go", []string{"deploy/compose", "deploy/compose/internal/policy"}},
		{"github.com/google/nftables", []string{"deploy/firewall"}},
		{"github.com/redis/go-redis", []string{"proxyroutes"}},
		{"github.com/alicebob/miniredis", []string{"proxyroutes/embeddedredis"}},
	}
}

// forbidden says why importer may not import imported, or "" if it may. Both are import paths; importer is one of this module, and no test.
func forbidden(importer, imported string) string {
	if inside(imported, module) {
		return forbiddenHere(importer, imported)
	}
	if isStandard(imported) {
		return ""
	}
	switch importer {
	case "vitrine/deployments":
		if !inside(imported, "github.com/robfig/cron") {
			return "deployments imports the standard library and robfig/cron only"
		}
	case "vitrine/deploy":
		return "deploy imports the standard library only"
	}
	for _, library := range owners() {
		if !inside(imported, library.prefix) {
			continue
		}
		if slices.Contains(library.owners, strings.TrimPrefix(importer, module+"/")) {
			return ""
		}
		return fmt.Sprintf("%s is imported by %s only", library.prefix, strings.Join(library.owners, " and "))
	}
	return ""
}

// forbiddenHere is forbidden for two packages of this module.
func forbiddenHere(importer, imported string) string {
	switch {
	case inside(importer, "vitrine/cmd"):
		return ""
	case imported == module:
		return "the root package is for cmd only"
	case importer == "vitrine/deployments":
		return "deployments imports no other package: declare an interface in ports.go and let cmd put the implementation in"
	case importer == "vitrine/deploy":
		return "deploy imports the standard library only"
	case imported == "vitrine/deployments", imported == "vitrine/deployments/repoconfig", imported == path.Dir(importer):
		return ""
	case strings.Contains(imported, "/internal/"):
		// Go itself lets nobody in but the package that it is a part of, and that package's children.
		if owner, _, _ := strings.Cut(imported, "/internal/"); !inside(importer, owner) {
			return "it is a part of " + owner
		}
		return ""
	case path.Dir(imported) == importer:
		return "a parent does not import its child: let cmd put it in"
	}
	return "siblings never import each other: go through a port of deployments and let cmd put the implementation in"
}

// inside reports whether the import path is the given one or below it.
func inside(importPath, root string) bool {
	return importPath == root || strings.HasPrefix(importPath, root+"/")
}

// isStandard reports whether the package belongs to the standard library, whose paths alone have no dot in their first element (go help
// importpath).
func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func TestImports(t *testing.T) {
	seen := 0
	for importer, imports := range imports(t) {
		for _, imported := range imports {
			seen++
			if reason := forbidden(importer, imported); reason != "" {
				t.Errorf("%s imports %s: %s", importer, imported, reason)
			}
		}
	}
	if seen == 0 {
		t.Error("go list named no import at all")
	}
}

// imports returns what each package of this module imports, tests left out.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	found := make(map[string][]string)
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var listed struct {
			ImportPath string
			Imports    []string
		}
		err := decoder.Decode(&listed)
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("read what go list printed: %v", err)
		}
		found[listed.ImportPath] = listed.Imports
	}
}

func TestForbidden(t *testing.T) {
	const (
		sibling  = "siblings never import each other: go through a port of deployments and let cmd put the implementation in"
		child    = "a parent does not import its child: let cmd put it in"
		root     = "the root package is for cmd only"
		domain   = "deployments imports no other package: declare an interface in ports.go and let cmd put the implementation in"
		domainBy = "deployments imports the standard library and robfig/cron only"
		pure     = "deploy imports the standard library only"
	)
	tests := []struct {
		importer, imported string
		want               string
	}{
		{"vitrine/bot", "vitrine/deployments", ""},
		{"vitrine/bot", "vitrine/deployments/repoconfig", ""},
		{"vitrine/deployments/repoconfig", "vitrine/deployments", ""},
		{"vitrine/bot", "vitrine/deployments/sqlite", sibling},
		{"vitrine/bot", "vitrine/builder", sibling},
		{"vitrine/builder", "vitrine/deploy", sibling},
		{"vitrine/deploy/compose", "vitrine/deploy", ""},
		{"vitrine/deploy/compose", "vitrine/deploy/docker", sibling},
		{"vitrine/deploy/docker", "vitrine/builder", sibling},
		{"vitrine/builder", "vitrine/builder/registry", child},
		{"vitrine/proxyroutes/proxy", "vitrine/proxyroutes", ""},
		{"vitrine/proxyroutes/proxy", "vitrine/proxyroutes/embeddedredis", sibling},
		{"vitrine/botany", "vitrine/bot", sibling},
		{"vitrine/deploy/compose", "vitrine/deploy/compose/internal/policy", ""},
		{"vitrine/deploy/compose/internal/policy", "vitrine/deploy/compose/internal/document", ""},
		{"vitrine/deploy", "vitrine/deploy/compose/internal/policy", pure},

		{"vitrine/cmd/vitrine", "vitrine", ""},
		{"vitrine/cmd/vitrine", "vitrine/bot/githubsim", ""},
		{"vitrine/cmd/vitrine", "vitrine/deploy/docker", ""},
		{"vitrine/bot", "vitrine", root},
		{"vitrine/deployments", "vitrine", root},
		{"vitrine/bot", "vitrine/cmd/vitrine", sibling},

		{"vitrine/deployments", "vitrine/deployments/repoconfig", domain},
		{"vitrine/deployments", "vitrine/deploy", domain},
		{"vitrine/deployments", "encoding/json", ""},
		{"vitrine/deployments", "github.com/robfig/cron/v3", ""},
		{"vitrine/deployments", "github.com/google/uuid", domainBy},
		{"vitrine/deployments/sqlite", "github.com/google/uuid", ""},
		{"vitrine/deploy", "net/netip", ""},
		{"vitrine/deploy", "vitrine/deployments", pure},
		{"vitrine/deploy", "go.yaml.in/yaml/v4", pure},

		{"vitrine/deployments/sqlite", "modernc.org/sqlite/lib", ""},
		{"vitrine/bot", "modernc.org/sqlite", "modernc.org/sqlite is imported by deployments/sqlite only"},
		{"vitrine/bot", "github.com/robfig/cron/v3", "github.com/robfig/cron is imported by deployments only"},
		{"vitrine/bot", "github.com/google/go-github/v60/github", ""},
		{"vitrine/bot", "github.com/bradleyfalzon/ghinstallation/v2", ""},
		{"vitrine/bot/githubsim", "github.com/google/go-github/v60/github", "github.com/google/go-github is imported by bot only"},
		{"vitrine/cmd/vitrine", "github.com/bradleyfalzon/ghinstallation/v2", "github.com/bradleyfalzon/ghinstallation is imported by bot only"},
		{"vitrine/builder", "github.com/moby/buildkit/client/llb", ""},
		{"vitrine/deploy/compose", "github.com/moby/buildkit/frontend/dockerfile/parser", ""},
		{"vitrine/deploy/compose", "github.com/moby/buildkit/client/llb", "github.com/moby/buildkit is imported by builder and cmd/bench only"},
		{"vitrine/deploy/docker", "github.com/moby/buildkit/frontend/dockerfile/parser",
			"github.com/moby/buildkit/frontend/dockerfile/parser is imported by builder and deploy/compose only"},
		{"vitrine/deploy/docker", "github.com/docker/docker/client", ""},
		{"vitrine/deploy/compose", "github.com/docker/docker/client", "github.com/docker/docker is imported by builder and deploy/docker and cmd/bench only"},
		{"vitrine/deploy/compose", "github.com/docker/go-units", ""},
		{"vitrine/builder/registry", "github.com/distribution/distribution/v3/registry/handlers", ""},
		{"vitrine/builder", "github.com/distribution/distribution/v3", "github.com/distribution/distribution is imported by builder/registry only"},
		{"vitrine/builder", "github.com/distribution/reference", ""},
		{"vitrine/deployments/repoconfig", "github.com/compose-spec/compose-go/v2/types", "github.com/compose-spec/compose-go is imported by deploy/compose and deploy/compose/internal/policy only"},
		{"vitrine/deploy/firewall", "github.com/google/nftables/expr", ""},
		{"vitrine/deploy/docker", "github.com/google/nftables", "github.com/google/nftables is imported by deploy/firewall only"},
		{"vitrine/proxyroutes", "github.com/redis/go-redis/v9", ""},
		{"vitrine/proxyroutes/proxy", "github.com/redis/go-redis/v9", "github.com/redis/go-redis is imported by proxyroutes only"},
		{"vitrine/proxyroutes/embeddedredis", "github.com/alicebob/miniredis/v2", ""},
		{"vitrine/proxyroutes", "github.com/alicebob/miniredis/v2", "github.com/alicebob/miniredis is imported by proxyroutes/embeddedredis only"},
	}
	for _, test := range tests {
		t.Run(test.importer+" imports "+test.imported, func(t *testing.T) {
			if diff := cmp.Diff(test.want, forbidden(test.importer, test.imported)); diff != "" {
				t.Errorf("forbidden (-want +got):\n%s", diff)
			}
		})
	}
}

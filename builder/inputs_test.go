package builder

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/buildkit/client"

	"vitrine/deployments"
)

// inputsOf returns the hash of a build of the files.
func inputsOf(t *testing.T, files map[string]string, build deployments.Build, change func(*client.SolveOpt)) string {
	t.Helper()
	dir := t.TempDir()
	writeFiles(t, dir, files)
	r, err := readRecipe(dir, build)
	check(t, err)
	opt, err := r.options(t.TempDir(), provenance{steps: fullHash("own"), mounts: fullHash("mounts")}, build.Target, "name")
	check(t, err)
	if change != nil {
		change(&opt)
	}
	inputs, err := r.inputs(t.Context(), opt)
	check(t, err)
	return inputs
}

func TestInputs(t *testing.T) {
	base := map[string]string{
		"Dockerfile": "FROM scratch\nARG WHO\nCOPY . /\n", "a": "1", "dir/b": "2", "link": "-> a", ".dockerignore": "left\nnotes/*.md\n", "left": "x",
	}
	with := func(changes map[string]string) map[string]string {
		files := maps.Clone(base)
		maps.Copy(files, changes)
		return files
	}
	want := inputsOf(t, base, web, nil)
	for name, c := range map[string]struct {
		files map[string]string
		build deployments.Build
		same  bool
	}{
		"nothing":               {base, web, true},
		"what is left out":      {with(map[string]string{"left": "y", "notes/x.md": "z"}), web, false}, // the folder is there now
		"the text of it":        {with(map[string]string{"left": "y"}), web, true},
		"a file":                {with(map[string]string{"a": "2"}), web, false},
		"a file further down":   {with(map[string]string{"dir/b": "3"}), web, false},
		"one more file":         {with(map[string]string{"c": ""}), web, false},
		"a link":                {with(map[string]string{"link": "-> dir"}), web, false},
		"a link for a file":     {with(map[string]string{"a": "-> dir"}), web, false},
		"the list":              {with(map[string]string{".dockerignore": ""}), web, false},
		"a list of its own":     {with(map[string]string{"Dockerfile.dockerignore": "a\n"}), web, false},
		"the Dockerfile":        {with(map[string]string{"Dockerfile": "FROM scratch\nARG WHO\nCOPY . /x\n"}), web, false},
		"an argument":           {base, deployments.Build{Service: "web", Context: ".", Args: map[string]string{"WHO": "ada"}}, false},
		"an argument not taken": {base, deployments.Build{Service: "web", Context: ".", Args: map[string]string{"WHAT": "ada"}}, true},
		"the stage":             {base, deployments.Build{Service: "web", Context: ".", Target: "x"}, false},
		"another service":       {base, deployments.Build{Service: "api", Context: "./"}, true},
	} {
		if got := inputsOf(t, c.files, c.build, nil); got == "" || (got == want) != c.same {
			t.Errorf("%s: got %s of %s", name, got, want)
		}
	}
	// A list that BuildKit may read otherwise leaves nothing out.
	linked := map[string]string{"web/Dockerfile": "FROM scratch\n", "web/a": "1", "ignore": "a\n", "web/.dockerignore": "-> ../ignore"}
	build := deployments.Build{Service: "web", Context: "web"}
	want = inputsOf(t, linked, build, nil)
	linked["web/a"] = "2"
	if inputsOf(t, linked, build, nil) == want {
		t.Error("a file that a list outside the context names was left out")
	}
}

// What is in a further folder counts, and so does its name, but for what the folder's own list leaves out.
func TestInputsOfFurtherFolders(t *testing.T) {
	files := map[string]string{
		"app/Dockerfile": "FROM scratch\nCOPY --from=a . /\n", "shared/a": "1", "shared/left": "1", "shared/.dockerignore": "left\n", "other/a": "1",
	}
	named := func(contexts map[string]string) deployments.Build {
		return deployments.Build{Service: "web", Context: "app", Contexts: contexts}
	}
	build := named(map[string]string{"a": "shared"})
	want := inputsOf(t, files, build, nil)
	for name, c := range map[string]struct {
		file  string
		build deployments.Build
		same  bool
	}{
		"nothing":           {"", build, true},
		"what is left out":  {"shared/left", build, true},
		"a file":            {"shared/a", build, false},
		"a file elsewhere":  {"other/a", build, true},
		"the name":          {"", named(map[string]string{"b": "shared"}), false},
		"the folder":        {"", named(map[string]string{"a": "other"}), false},
		"a second":          {"", named(map[string]string{"a": "shared", "b": "other"}), false},
		"none":              {"", named(nil), false},
		"another main one":  {"", deployments.Build{Service: "web", Context: ".", Dockerfile: "app/Dockerfile", Contexts: build.Contexts}, false},
		"written otherwise": {"", named(map[string]string{"a": "./shared/"}), true},
	} {
		changed := maps.Clone(files)
		if c.file != "" {
			changed[c.file] = "2"
		}
		if got := inputsOf(t, changed, c.build, nil); got == "" || (got == want) != c.same {
			t.Errorf("%s: got %s of %s", name, got, want)
		}
	}
}

func TestInputsThatAreNotAll(t *testing.T) {
	files := map[string]string{"Dockerfile": "FROM scratch\n"}
	for name, change := range map[string]func(*client.SolveOpt){
		"a session":      func(o *client.SolveOpt) { o.Session = append(o.Session, nil) },
		"a frontend":     func(o *client.SolveOpt) { o.Frontend = "dockerfile.v0" },
		"another cache":  func(o *client.SolveOpt) { o.CacheImports = make([]client.CacheOptionsEntry, 1) },
		"another folder": func(o *client.SolveOpt) { o.LocalMounts["other"] = o.LocalMounts[mountContext] },
		"trust":          func(o *client.SolveOpt) { o.FrontendAttrs["add-hosts"] = "x" },
	} {
		got := inputsOf(t, files, web, change)
		if counted := name == "another folder" || name == "trust"; (got == "") == counted || got == inputsOf(t, files, web, nil) {
			t.Errorf("%s: got %q", name, got)
		}
	}
	dir := t.TempDir()
	writeFiles(t, dir, files)
	big, err := os.Create(filepath.Join(dir, "big"))
	check(t, err)
	check(t, big.Truncate(maxInputs+1))
	check(t, big.Close())
	r, err := readRecipe(dir, web)
	check(t, err)
	opt, err := r.options(t.TempDir(), provenance{steps: fullHash("")}, "", "name")
	check(t, err)
	if got, err := r.inputs(t.Context(), opt); got != "" || err != nil {
		t.Errorf("of too many files came %q %v", got, err)
	}
}

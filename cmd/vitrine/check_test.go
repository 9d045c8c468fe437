package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

// folder makes one with the files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCheck(t *testing.T) {
	clean := folder(t, map[string]string{
		"compose.yaml": "services: {web: {image: \"shop:${TAG:?}\", tty: true, ports: [\"8080:80\"]}, api: {image: a, ports: [\"9000\"]}}\n",
		".vitrine.yml": "env: {KEY: {required: the payments team}}\n",
	})
	named := folder(t, map[string]string{
		"compose.yaml": "services: {web: {image: a, ports: [\"80\"]}, api: {image: a, ports: [\"9000\"]}}\n",
		".vitrine.yml": "services: {web: {host: www}}\n",
	})
	for name, test := range map[string]struct {
		args  []string
		code  int
		texts []string
	}{
		"clean": {[]string{clean}, exitOK, []string{
			"note: tty is left out (web): ", "note: Set before a deploy, with `vitrine env set`: \"KEY\", \"TAG\".\n",
			"web: port 80, with the preview's host\napi: port 9000, with a host of its own\n",
		}},
		"hosts":     {[]string{named}, exitOK, []string{"api: port 9000, with the preview's host\nweb: port 80, with a host that begins with www\n"}},
		"static":    {[]string{folder(t, map[string]string{"index.html": "<h1>Shop</h1>"})}, exitOK, []string{"web: port 8080, with the preview's host\n"}},
		"no folder": {[]string{folder(t, map[string]string{".vitrine.yml": "static: dist\n"})}, exitFailed, []string{"this would not be deployed"}},
		"refused":   {[]string{folder(t, map[string]string{"compose.yaml": "services:\n  web: {image: a, pid: host}\n"})}, exitFailed, []string{"would not be deployed"}},
		"nothing":   {[]string{t.TempDir()}, exitFailed, []string{"there is nothing to deploy"}},
		"no dir":    {[]string{filepath.Join(clean, "gone")}, exitUsage, []string{"is not a folder"}},
		"a file":    {[]string{filepath.Join(clean, "compose.yaml")}, exitUsage, []string{"is not a folder"}},
		"two dirs":  {[]string{clean, clean}, exitUsage, []string{"unexpected argument"}},
	} {
		t.Run(name, func(t *testing.T) {
			command(t, append([]string{"check"}, test.args...)...).says(t, test.code, test.texts...)
		})
	}
}

func TestCheckTellsPlaces(t *testing.T) {
	dir := folder(t, map[string]string{
		"compose.yaml": "services:\n  web:\n    image: a\n    privileged: true\n    ports: [\"80\"]\n    volumes: [/etc:/etc]\n    tty: true\n",
	})
	const want = "compose.yaml:4: services.web.privileged is not allowed in a preview: it would give the container what belongs to the host. " +
		"Remove it; what needs it cannot run in a preview. Put it behind a profile, and it stays out\n" +
		"compose.yaml:6: services.web.volumes[0]: /etc would mount a folder of the host, which is not allowed in a preview. Use a volume, or COPY the files in the Dockerfile\n"
	if o := command(t, "check", dir); o.code != exitFailed || o.out != want {
		t.Errorf("exit code %d, printed:\n%s%s", o.code, o.out, o.err)
	}
	o := command(t, "check", dir, "--json")
	var found verdict
	if err := json.Unmarshal([]byte(o.out), &found); err != nil {
		t.Fatal(err)
	}
	places := []string{}
	for _, v := range found.Violations {
		places = append(places, v.Place()+" "+v.Rule)
	}
	if diff := cmp.Diff([]string{"compose.yaml:4 privileged", "compose.yaml:6 volumes"}, places); diff != "" || o.code != exitFailed || found.OK {
		t.Errorf("exit code %d, %+v %s", o.code, found, diff)
	}
}

func TestCheckTellsWhereTheConfigurationIsWrong(t *testing.T) {
	dir := folder(t, map[string]string{".vitrine.yml": "ttll: 3d\n", "compose.yaml": "services: {web: {image: a, ports: [\"80\"]}}\n"})
	found, err := judge(t.Context(), dir)
	if err != nil || !slices.ContainsFunc(found.Violations, func(v deployments.Violation) bool {
		return v.File == ".vitrine.yml" && v.Line == 1 && v.Column == 1
	}) {
		t.Errorf("%+v %v", found, err)
	}
}

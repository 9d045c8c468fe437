package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"vitrine/cmd/internal/sample"
	"vitrine/deploy"
)

// A required value that is missing fails the deploy before its build, and is told; set on the server and deployed again it reaches the service, and is shown
// nowhere: not in a log, not in a comment, not by the bytes of the database.
func TestVariablesStaySecret(t *testing.T) {
	t.Parallel()
	const secret = "sk_live_4f9a77c1b2"
	w := openInputs(t)
	settings := "env:\n  MODE: shop\n  STRIPE_KEY: {required: ask the payments team}\n  SECRET_KEY_BASE: {generate: 64}\n"
	number := w.propose("needs-a-key", map[string]string{
		".vitrine.yml": settings, "Dockerfile": sampleDockerfile(w.base),
		"compose.yaml": "services:\n  web:\n    build: .\n    ports: [\"8080\"]\n    environment:\n      COPY: key-${STRIPE_KEY}\n",
	})
	name := fmt.Sprintf("inputs-pr-%d", number)
	w.eventually("the comment names what is missing", func() bool {
		return strings.Contains(w.said(number), "the required variable `STRIPE_KEY` has no value")
	})
	text := w.said(number)
	for _, want := range []string{"`.vitrine.yml:3`", "`vitrine env set acme/inputs STRIPE_KEY=...`", "ask the payments team"} {
		if !strings.Contains(text, want) {
			t.Errorf("the comment does not say %s:\n%s", want, text)
		}
	}
	if built := query[int](w, `SELECT COUNT(*) FROM deployments WHERE images <> 'null'`); built != 0 {
		t.Error("it was built without the value")
	}

	command(t, "env", "set", inputs, "STRIPE_KEY="+secret, "--data="+w.data).says(t, exitOK, "Set for acme/inputs: STRIPE_KEY.")
	_, err := w.github.Comment(inputs, number, sample.Developer, "/deploy")
	w.must(err)
	w.eventually("the preview is live", func() bool {
		return query[int](w, `SELECT COALESCE(live, 0) FROM environments WHERE name = ?`, name) > 0
	})
	env := w.environmentOf(w.liveOf(name))
	for _, want := range []string{`^MODE=shop$`, `^STRIPE_KEY=` + secret + `$`, `^COPY=key-` + secret + `$`, `^SECRET_KEY_BASE=[0-9a-f]{64}$`} {
		if !slices.ContainsFunc(env, regexp.MustCompile(want).MatchString) {
			t.Errorf("the service has nothing like %s, but %q", want, env)
		}
	}

	crash := w.propose("prints-the-key", map[string]string{
		".vitrine.yml": settings,
		"compose.yaml": "services:\n  web:\n    image: " + w.base + "\n    command: [\"/vitrine\", \"sample\", \"check\", \"http://127.0.0.1:9999/${STRIPE_KEY}\"]\n    ports: [\"8080\"]\n",
	})
	w.eventually("the comment has the last lines", func() bool { return strings.Contains(w.said(crash), "127.0.0.1:9999/***") })
	generated := env[slices.IndexFunc(env, regexp.MustCompile(`^SECRET_KEY_BASE=`).MatchString)]
	w.shownNowhere(number, crash, secret, strings.TrimPrefix(generated, "SECRET_KEY_BASE="))
}

// environmentOf returns the environment of the one container of a deployment.
func (w *world) environmentOf(deployment int) []string {
	w.Helper()
	found := w.containersOf(deployment)
	if len(found) != 1 {
		w.Fatalf("deployment %d has %d containers", deployment, len(found))
	}
	c, err := w.docker().ContainerInspect(w.Context(), found[0])
	w.must(err)
	return c.Config.Env
}

// containersOf returns the containers that a deployment has running, by their ID.
func (w *world) containersOf(deployment int) (ids []string) {
	w.Helper()
	found, err := w.docker().ContainerList(w.Context(), container.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", deploy.LabelInstance+"="+w.instance()), filters.Arg("label", fmt.Sprintf("%s=%d", deploy.LabelDeployment, deployment)))})
	w.must(err)
	for _, c := range found {
		ids = append(ids, c.ID)
	}
	return ids
}

// shownNowhere looks for secrets in the comments of two pull requests, in what serve logged, and in every file of its data folder, also those of what
// containers printed.
func (w *world) shownNowhere(first, second int, secrets ...string) {
	w.Helper()
	log, err := os.ReadFile(w.logs)
	w.must(err)
	texts := map[string][]byte{"a comment": []byte(w.said(first) + w.said(second)), "the log": log}
	w.must(filepath.WalkDir(w.data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		texts[path], err = os.ReadFile(path)
		return err
	}))
	if len(texts[filepath.Join(w.data, "vitrine.db")]) == 0 {
		w.Error("the database was not looked at")
	}
	for where, text := range texts {
		for _, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				w.Errorf("%s shows %s", where, secret)
			}
		}
	}
}

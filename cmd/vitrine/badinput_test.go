package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
)

// inputs is the repository that the pull requests with bad input are opened in.
const inputs = "acme/inputs"

// sampleDockerfile builds a service that answers at port 8080.
func sampleDockerfile(base string) string {
	return "FROM " + base + "\nEXPOSE 8080\nCMD [\"/vitrine\", \"sample\", \"cache\", \"--listen\", \":8080\"]\n"
}

// openInputs makes the repository and starts a serve that builds several pull requests side by side. extra are further VITRINE_ variables.
func openInputs(t *testing.T, extra ...string) *world {
	w := newInputs(t, extra...)
	w.start()
	return w
}

// newInputs is openInputs before serve is started.
func newInputs(t *testing.T, extra ...string) *world {
	w := newWorld(t, append(extra, "VITRINE_BUILDS=4")...)
	w.must(w.github.CreateRepository(t.Context(), inputs, false, map[string]string{"README.md": "# Inputs\n"}))
	w.must(w.github.SetPermission(inputs, sample.Developer, "write"))
	return w
}

// within returns the world for a subtest.
func (w *world) within(t *testing.T) *world {
	inner := *w
	inner.T = t
	return &inner
}

// propose commits files to a branch of its own, opens a pull request for it and returns its number.
func (w *world) propose(branch string, files map[string]string) int {
	w.Helper()
	_, err := w.github.Commit(w.Context(), githubsim.Change{Repository: inputs, Branch: branch, Author: sample.Developer, Files: files})
	w.must(err)
	number, err := w.github.OpenPullRequest(w.Context(), githubsim.PullRequest{
		Repository: inputs, Head: branch, Title: "Try " + branch, Author: sample.Developer,
	})
	w.must(err)
	return number
}

// said returns what the App wrote to a pull request of the inputs.
func (w *world) said(number int) string {
	w.Helper()
	return w.saidIn(inputs, number)
}

// saidIn returns what the App wrote to a pull request.
func (w *world) saidIn(repository string, number int) string {
	w.Helper()
	comments, err := w.github.Comments(repository, number)
	w.must(err)
	var texts []string
	for _, c := range comments {
		if strings.HasSuffix(c.Author, "[bot]") {
			texts = append(texts, c.Body)
		}
	}
	return strings.Join(texts, "\n")
}

// A badInput is a pull request that cannot be deployed, and what its comment has to say.
type badInput struct {
	name     string
	files    map[string]string
	title    string
	patterns []string // in this order, each behind the one before
}

func badInputs(base string) []badInput {
	compose := func(lines ...string) map[string]string {
		return map[string]string{"compose.yaml": strings.Join(lines, "\n") + "\n"}
	}
	image, command := "    image: "+base, `    command: ["/vitrine", "sample", "cache", "--listen", ":8080"]`
	// A service has a minute to come up, and no file can shorten that: the first two take that long, beside all others.
	return []badInput{
		{
			"never-healthy", compose("services:", "  web:", image, command, "    ports: [\"8080\"]", "    healthcheck:",
				`      test: ["CMD", "/vitrine", "sample", "check", "http://127.0.0.1:9999/"]`),
			"failed while starting web",
			[]string{`is not healthy after 60 s: the check exited with status 1: .*127\.0\.0\.1:9999.*connection refused`, "```\nlistening on .*:8080\n```"},
		},
		{
			"nothing-listens", map[string]string{"Dockerfile": "FROM " + base + "\nEXPOSE 8080\nCMD [\"/vitrine\", \"sample\", \"cache\", \"--listen\", \":9090\"]\n"},
			"failed while starting web",
			[]string{`nothing listens on port 8080 \(looked for 60 s\)`, "it listens on port 9090", "```\nlistening on .*:9090\n```"},
		},
		{
			"syntax-error", compose("services:", "  web:", image, "    ports: [\"8080\"", "    command: x"),
			"failed while reading the configuration", []string{"`compose.yaml:5` this is not YAML: .* at line 4, column 12: line 5, column 5: did not find expected ',' or"},
		},
		{
			"unsupported-field", compose("services:", "  web:", image, "    privileged: true", "    ports: [\"8080\"]"),
			"failed while reading the configuration", []string{"`compose.yaml:4` ", "privileged", "Remove it"},
		},
		{
			"failing-run", map[string]string{"Dockerfile": "# The line is counted from the top.\nFROM " + base + "\nRUN [\"/vitrine\", \"no-such-command\"]\nEXPOSE 8080\n"},
			"failed while building web",
			[]string{"`Dockerfile:3` ", "`RUN \\[\"/vitrine\", \"no-such-command\"\\]` exited 2 after ", "```\nvitrine: unexpected argument no-such-command\n```"},
		},
		{
			"exits", compose("services:", "  web:", image, `    command: ["/vitrine", "sample", "check", "http://127.0.0.1:9999/"]`, "    ports: [\"8080\"]"),
			"failed while starting web", []string{`[Ee]xited with status 1 after [0-9.e-]+ s`, "```\nvitrine: .*127\\.0\\.0\\.1:9999.*connection refused\n```"},
		},
	}
}

// The comment on the pull request says what is wrong, where, and shows the last lines. All are tried by one serve, side by side.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := openInputs(t)
	tests := badInputs(w.base)
	numbers := make([]int, len(tests))
	for i, test := range tests {
		numbers[i] = w.propose(test.name, test.files)
	}
	// The slow ones stand first; the others are looked at while they take their time.
	for i := len(tests) - 1; i >= 0; i-- {
		t.Run(tests[i].name, func(t *testing.T) { w.within(t).tells(numbers[i], tests[i]) })
	}
}

// tells checks the comment of a pull request that cannot be deployed.
func (w *world) tells(number int, want badInput) {
	w.eventually("the comment says "+want.title, func() bool { return strings.Contains(w.said(number), "### Preview: failed") })
	text := w.said(number)
	pattern := "(?s)### Preview: " + want.title + "\n.*" + strings.Join(want.patterns, ".*")
	if !regexp.MustCompile(pattern).MatchString(text) {
		w.Errorf("the comment does not match %s:\n%s", pattern, text)
	}
	if !strings.Contains(text, "Push a fix, or `/deploy` to try again") {
		w.Errorf("the comment does not say what to do:\n%s", text)
	}
}

// linkIn finds the preview's address in a comment, and the branch's.
var linkIn = regexp.MustCompile(`\*\*\[[^\]]+\]\((http://[^)]+)\)\*\*(?s:.*)Bookmark for this branch: \[[^\]]+\]\((http://[^)]+)\)`)

// Whatever git takes for the name of a branch is deployed, and answers at the addresses in the comment.
func TestBranchNames(t *testing.T) {
	t.Parallel()
	w := openInputs(t)
	branches := []string{"--upload-pack=x", "a;b", "a-b", "$(id)", strings.Repeat("x", 200), "ветка/вход"}
	numbers := make([]int, len(branches))
	for i, branch := range branches {
		numbers[i] = w.propose(branch, map[string]string{"Dockerfile": sampleDockerfile(w.base), "name.txt": branch})
	}
	seen := make(map[string]string)
	for i, branch := range branches {
		t.Run(fmt.Sprintf("%.20s", branch), func(t *testing.T) {
			w := w.within(t)
			w.eventually("the comment says ready", func() bool {
				if text := w.said(numbers[i]); strings.Contains(text, "### Preview: failed") {
					t.Fatal(text)
				}
				return linkIn.MatchString(w.said(numbers[i]))
			})
			for _, link := range linkIn.FindStringSubmatch(w.said(numbers[i]))[1:] {
				w.opens(link)
				if other, taken := seen[link]; taken {
					t.Errorf("%s is the address of %q too", link, other)
				}
				seen[link] = branch
			}
		})
	}
	t.Run("refused by git", func(t *testing.T) { w.within(t).refusedByGit() })
}

// opens checks that a link leads to the service.
func (w *world) opens(link string) {
	w.Helper()
	host := hostname(link)
	if label, _, _ := strings.Cut(host, "."); len(label) > 63 { // RFC 1035 §2.3.4
		w.Errorf("the label of %s is too long", link)
	}
	response, err := w.story().client.Get(link)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || string(text) != "cache\n" {
		w.Errorf("%s answers %d %q (%v)", link, response.StatusCode, text, err)
	}
}

// refusedByGit checks that no branch can have a name that leads out of its folder.
func (w *world) refusedByGit() {
	s, dir := w.story(), filepath.Join(w.TempDir(), "clone")
	w.must(os.Mkdir(dir, 0o700))
	remote := strings.Replace(w.web, "http://", "http://"+sample.Developer+":"+sample.Password+"@", 1) + "/" + inputs + ".git"
	w.must(s.git(w.Context(), dir, "clone", "--quiet", remote, "."))
	for _, branch := range []string{"../x", "a/../x"} {
		err := s.git(w.Context(), dir, "push", "--quiet", remote, "HEAD:refs/heads/"+branch)
		if err == nil || w.github.Branch(inputs, branch) != "" {
			w.Errorf("git takes %q for the name of a branch", branch)
		}
	}
	w.must(s.git(w.Context(), dir, "push", "--quiet", remote, "HEAD:refs/heads/x"))
}

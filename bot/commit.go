package bot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-github/v60/github"

	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// What GitHub lists at most (docs.github.com, "Get repository content" and "List pull requests files").
const (
	maxInFolder = 1000
	maxFiles    = 3000
)

// config returns the configuration at a branch or a commit, of the default branch for "". It is the zero Config where there is none. One that cannot be
// read is a Fault, errUnreadable where that is for want of a permission.
func (r repository) config(ctx context.Context, ref string) (repoconfig.Config, error) {
	content, there, err := r.file(ctx, repoconfig.FileName, ref)
	if err != nil || !there {
		return repoconfig.Config{}, err
	}
	config, err := repoconfig.Parse(repoconfig.FileName, content)
	if err != nil {
		return repoconfig.Config{}, fmt.Errorf("read %s of %s: %w", repoconfig.FileName, r, err)
	}
	return config, nil
}

// message returns a commit's message; errUnreadable where the App may not read it. Of what the commit changes, which GitHub adds, no more than one file is asked for.
func (r repository) message(ctx context.Context, sha string) (string, error) {
	commit, _, err := r.gh.Repositories.GetCommit(ctx, r.owner, r.name, sha, &github.ListOptions{PerPage: 1})
	return commit.GetCommit().GetMessage(), r.unreadable(r.wrap(ctx, absent(err), "read commit %s", sha))
}

// root returns the names of the files in the root of a commit, and whether these are all; errUnreadable where the App may not read them.
func (r repository) root(ctx context.Context, sha string) (names []string, whole bool, err error) {
	_, entries, _, err := r.gh.Repositories.GetContents(ctx, r.owner, r.name, "", &github.RepositoryContentGetOptions{Ref: sha})
	if err != nil {
		return nil, false, r.unreadable(r.wrap(ctx, absent(err), "list the files at %s", sha))
	}
	for _, e := range entries {
		if e.GetType() == "file" || e.GetType() == "symlink" {
			names = append(names, e.GetName())
		}
	}
	return names, len(entries) < maxInFolder, nil
}

// changedFiles hands on the files that a pull request changes, until use returns false.
func (r repository) changedFiles(ctx context.Context, number int, use func(*github.CommitFile) bool) error {
	options := &github.ListOptions{PerPage: perPage}
	for {
		files, answer, err := r.gh.PullRequests.ListFiles(ctx, r.owner, r.name, number, options)
		if err != nil {
			return r.wrap(ctx, err, "list the files of pull request #%d", number)
		}
		for _, f := range files {
			if !use(f) {
				return nil
			}
		}
		if answer.NextPage == 0 {
			return nil
		}
		options.Page = answer.NextPage
	}
}

// absent makes of an answer that a commit is not there, though it is a head, that GitHub is not as far yet: it is to be asked again. What is left of the answer
// does not say any more that something is gone.
func absent(err error) error {
	if s := statusOf(err); s == http.StatusUnprocessableEntity || s == http.StatusNotFound {
		return &deployments.Unavailable{Neighbour: waitsForGitHub, Err: errors.New(err.Error())}
	}
	return err
}

// absentCommit reports whether GitHub answers that there is no such commit, where it might have answered that there is no such file.
func absentCommit(err error) bool {
	return statusOf(err) == http.StatusNotFound && strings.Contains(err.Error(), "No commit found")
}

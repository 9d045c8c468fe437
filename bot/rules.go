package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-github/v60/github"
	"golang.org/x/sync/errgroup"

	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// A rule keeps a pull request from being deployed. The zero rule keeps nothing from it.
type rule struct {
	text    string // what people read after "skipped: "
	binding bool   // nobody overrules it
}

// Rules that have always the same words.
const (
	skipArchived = "the repository is archived"
	skipForks    = "pull requests from forks are off in .vitrine.yml of the base branch (pull_requests.forks)"
	skipTitle    = "the title says [skip preview]"
	skipDraft    = "drafts are off in .vitrine.yml (pull_requests.drafts)"
	skipBot      = "pull requests that a bot opened are off in .vitrine.yml (pull_requests.bots)"
)

// saysSkip reports whether a title or a message asks for no preview.
func saysSkip(s string) bool { return strings.Contains(strings.ToLower(s), "[skip preview]") }

// skipped returns the rule that keeps an open pull request from being deployed. Where one does, or somebody has to approve a fork's head, it is worth a
// word only where the head has something to deploy.
func (r repository) skipped(ctx context.Context, pull *github.PullRequest, head deployments.Source) (rule, error) {
	if pull.GetBase().GetRepo().GetArchived() {
		return rule{skipArchived, true}, nil
	}
	found, err := r.ruleOf(ctx, pull, head)
	if err != nil || found.text == "" && !head.Fork {
		return found, err
	}
	there, err := r.deployable(ctx, head.SHA)
	if err == nil && !there {
		found = rule{deployments.SkipNothing, true}
	}
	return found, err
}

// ruleOf returns the first rule of the repository that the pull request breaks, a binding one before the others. It asks for no more than it needs.
func (r repository) ruleOf(ctx context.Context, pull *github.PullRequest, head deployments.Source) (rule, error) {
	if saysSkip(pull.GetTitle()) && !head.Fork {
		return rule{skipTitle, false}, nil
	}
	var rules repoconfig.PullRequests
	var skips bool
	asking, inside := errgroup.WithContext(ctx)
	asking.Go(func() (err error) {
		rules, err = r.pullRequestRules(inside, pull, head)
		return err
	})
	asking.Go(func() (err error) {
		skips, err = r.messageSkips(inside, head.SHA)
		return err
	})
	if err := asking.Wait(); err != nil {
		return rule{}, err
	}
	switch {
	case head.Fork && rules.Forks == repoconfig.ForksNever:
		return rule{skipForks, true}, nil
	case saysSkip(pull.GetTitle()):
		return rule{skipTitle, false}, nil
	case skips:
		return rule{fmt.Sprintf("the message of %s says [skip preview]", head.ShortSHA()), false}, nil
	case pull.GetDraft() && rules.Drafts != nil && !*rules.Drafts:
		return rule{skipDraft, false}, nil
	case pull.GetUser().GetType() == "Bot" && (rules.Bots == nil || !*rules.Bots):
		return rule{skipBot, false}, nil
	case rules.Label != "" && !labelled(pull, rules.Label):
		return rule{fmt.Sprintf("the label %q is missing, which .vitrine.yml wants (pull_requests.label)", rules.Label), false}, nil
	case len(rules.Paths) > 0:
		return r.pathsRule(ctx, pull, rules)
	}
	return rule{}, nil
}

// labelled reports whether a pull request wears a label, whose case makes no difference to GitHub.
func labelled(pull *github.PullRequest, name string) bool {
	for _, l := range pull.Labels {
		if strings.EqualFold(l.GetName(), name) {
			return true
		}
	}
	return false
}

// pullRequestRules returns what .vitrine.yml says of pull requests: the one at the head, but for a fork, which would make its own rules, the one at the base
// branch. One that cannot be read has no rules; the deploy says what is wrong with it.
func (r repository) pullRequestRules(ctx context.Context, pull *github.PullRequest, head deployments.Source) (rules repoconfig.PullRequests, err error) {
	if head.Fork {
		rules, err = r.rulesAt(ctx, pull.GetBase().GetRef())
	} else {
		rules, err = recall(r.bot.known.rules, r, head.SHA, func() (repoconfig.PullRequests, error) { return r.rulesAt(ctx, head.SHA) })
	}
	return rules, unlessUnreadable(err)
}

func (r repository) rulesAt(ctx context.Context, ref string) (repoconfig.PullRequests, error) {
	config, err := r.config(ctx, ref)
	if deployments.FaultOf(err) != nil && !errors.Is(err, errUnreadable) {
		return repoconfig.PullRequests{}, nil
	}
	return config.PullRequests, err
}

// messageSkips reports whether the commit's message asks for no preview.
func (r repository) messageSkips(ctx context.Context, sha string) (bool, error) {
	skips, err := recall(r.bot.known.skips, r, sha, func() (bool, error) {
		message, err := r.message(ctx, sha)
		return saysSkip(message), err
	})
	return skips, unlessUnreadable(err)
}

// deployable reports whether the root of a commit holds anything that could be deployed, as far as is known.
func (r repository) deployable(ctx context.Context, sha string) (bool, error) {
	there, err := recall(r.bot.known.deployable, r, sha, func() (bool, error) {
		names, whole, err := r.root(ctx, sha)
		return repoconfig.Deployable(names) || !whole, err
	})
	return there, unlessUnreadable(err)
}

// pathsRule holds the files that a pull request changes against the rule's patterns. A list that GitHub has cut may lack the one that counts.
func (r repository) pathsRule(ctx context.Context, pull *github.PullRequest, rules repoconfig.PullRequests) (rule, error) {
	if pull.GetChangedFiles() > maxFiles {
		return rule{}, nil
	}
	counts := rules.PathMatcher()
	found := false
	var others []string
	err := r.changedFiles(ctx, pull.GetNumber(), func(f *github.CommitFile) bool {
		found = counts(f.GetFilename()) || f.GetPreviousFilename() != "" && counts(f.GetPreviousFilename())
		others = append(others, f.GetFilename())
		return !found
	})
	if err != nil || found || len(others) >= maxFiles {
		return rule{}, err
	}
	return rule{fmt.Sprintf("%s changed, and .vitrine.yml wants %s (pull_requests.paths)", only(others), listed(rules.Paths)), false}, nil
}

// only says in a few words which files these are: "only docs/** and README.md".
func only(files []string) string {
	var places []string
	for _, file := range files {
		place, _, below := strings.Cut(file, "/")
		if below {
			place += "/**"
		}
		if !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	if len(places) == 0 {
		return "no file"
	}
	return "only " + listed(places)
}

// maxListed is how many names a rule repeats.
const maxListed = 3

// listed writes names one after the other: "src/**, web/** and 2 more".
func listed(names []string) string {
	shown := make([]string, 0, maxListed+1)
	for _, name := range names[:min(len(names), maxListed)] {
		shown = append(shown, plain(name, 60))
	}
	if more := len(names) - len(shown); more > 0 {
		shown = append(shown, fmt.Sprintf("%d more", more))
	}
	if len(shown) == 1 {
		return shown[0]
	}
	return strings.Join(shown[:len(shown)-1], ", ") + " and " + shown[len(shown)-1]
}

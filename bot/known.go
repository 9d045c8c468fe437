package bot

import (
	"errors"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"

	"vitrine/deployments/repoconfig"
)

// knownCommits is of how many commits something is remembered.
const knownCommits = 1000

// known are answers of GitHub's about commits, which never change. It is safe for use side by side.
type known struct {
	rules      *lru.Cache[string, repoconfig.PullRequests] // what .vitrine.yml says of pull requests
	skips      *lru.Cache[string, bool]                    // whether the message says so
	deployable *lru.Cache[string, bool]                    // whether the root holds something that can be deployed
}

func newKnown() (*known, error) {
	rules, noRules := lru.New[string, repoconfig.PullRequests](knownCommits)
	skips, noSkips := lru.New[string, bool](knownCommits)
	deployable, noDeployable := lru.New[string, bool](knownCommits)
	return &known{rules, skips, deployable}, errors.Join(noRules, noSkips, noDeployable)
}

// recall returns what is remembered of a commit in the repository, or asks for it and remembers the answer.
func recall[T any](cache *lru.Cache[string, T], r repository, sha string, ask func() (T, error)) (T, error) {
	key := strings.ToLower(r.String()) + "@" + sha
	if answer, ok := cache.Get(key); ok {
		return answer, nil
	}
	answer, err := ask()
	if err == nil {
		cache.Add(key, answer)
	}
	return answer, err
}

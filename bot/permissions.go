package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-github/v60/github"
)

// levels are what a permission may be, the lower ones first.
var levels = []string{"", "read", "write", "admin"}

// Lacking returns, for people, what the App may not do of what it should: for each of its installations the permissions that are missing or too low, and
// where to grant them. wanted has the level of each, "read" or "write".
func (b *Bot) Lacking(ctx context.Context, wanted map[string]string) (lacking []string, err error) {
	ctx, cancel := within(ctx, b.config.callTime)
	defer cancel()
	options := &github.ListOptions{PerPage: perPage}
	for {
		found, answer, err := b.apps.app.Apps.ListInstallations(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("list the App's installations: %w", away(ctx, err))
		}
		for _, i := range found {
			lacks, err := lackingOf(i, wanted)
			if err != nil {
				return nil, err
			}
			lacking = append(lacking, lacks...)
			if i.SuspendedAt != nil {
				lacking = append(lacking, fmt.Sprintf("the installation on %s is suspended; end that at %s", i.GetAccount().GetLogin(), i.GetHTMLURL()))
			}
		}
		if answer.NextPage == 0 {
			return lacking, nil
		}
		options.Page = answer.NextPage
	}
}

// lackingOf is Lacking for one installation.
func lackingOf(i *github.Installation, wanted map[string]string) (lacking []string, err error) {
	given, err := permissionsOf(i)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if slices.Index(levels, given[name]) < slices.Index(levels, wanted[name]) {
			lacking = append(lacking, fmt.Sprintf("the installation on %s lacks %s: %s; grant it at %s",
				i.GetAccount().GetLogin(), name, wanted[name], i.GetHTMLURL()))
		}
	}
	return lacking, nil
}

// tellLacking logs what an installation lacks, once until that changes.
func (in *installations) tellLacking(i *github.Installation) error {
	lacking, err := lackingOf(i, in.config.Permissions)
	if err != nil {
		return err
	}
	owner := strings.ToLower(i.GetAccount().GetLogin())
	in.mu.Lock()
	defer in.mu.Unlock()
	if slices.Equal(lacking, in.lacking[owner]) {
		return nil
	}
	in.lacking[owner] = lacking
	if len(lacking) > 0 {
		in.config.Log.Warn("the App may not do all that it should", "lacking", strings.Join(lacking, "; "))
	}
	return nil
}

// told reports whether the log says that the installation on an account lacks something.
func (in *installations) told(owner string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.lacking[strings.ToLower(owner)]) > 0
}

// permissionsOf returns what an installation may do, by the permissions' names.
func permissionsOf(i *github.Installation) (given map[string]string, err error) {
	text, err := json.Marshal(i.GetPermissions())
	if err == nil {
		err = json.Unmarshal(text, &given)
	}
	if err != nil {
		return nil, fmt.Errorf("read the permissions of installation %d: %w", i.GetID(), err)
	}
	return given, nil
}

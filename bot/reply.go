package bot

import (
	"context"
	"fmt"
	"strings"
	"time"

	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// helpText is the reply to /help.
func helpText() string {
	var b strings.Builder
	b.WriteString("One command in a line, first in the line.\n\n| Command | Does | Who |\n| --- | --- | --- |\n")
	for _, u := range usage {
		who := "everybody who can read"
		if u.change {
			who = "write access"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.ReplaceAll(u.form, "|", `\|`), u.does, who)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// closedReply is why nothing is deployed of what is not open.
func closedReply(o deployments.Origin, head deployments.Head) string {
	switch {
	case head.Cause != "":
		return fmt.Sprintf("Nothing can be deployed: %s.", text(head.Cause))
	case o.PullRequest != 0:
		return "The pull request is closed. Reopen it, and its preview comes back."
	default:
		return "The branch is not there any more."
	}
}

// bindingReply is why nothing is deployed though somebody who may asks for it.
func bindingReply(head deployments.Head) string {
	switch head.Skip {
	case skipArchived:
		return "The repository is archived. Unarchive it to preview its pull requests."
	case skipForks:
		return "The pull request comes from a fork, and `.vitrine.yml` of the base branch says `forks: never` under `pull_requests`."
	case deployments.SkipNothing:
		return fmt.Sprintf("There is nothing to deploy at %s: in the root of the repository there is none of %s.",
			code(head.Source.ShortSHA()), lookedFor())
	default:
		return fmt.Sprintf("Nothing can be deployed: %s.", text(head.Skip))
	}
}

// lookedFor names the files that [repoconfig.Deployable] looks for.
func lookedFor() string {
	names := append([]string{repoconfig.FileName}, repoconfig.ComposeFiles()...)
	names = append(names, repoconfig.Dockerfile)
	for i, name := range names {
		names[i] = code(name)
	}
	return strings.Join(names, ", ") + " and " + code(repoconfig.IndexFile)
}

// statusText is the reply to /status. The zero Environment stands for none.
func (b *Bot) statusText(ctx context.Context, e deployments.Environment) (string, error) {
	switch {
	case e.Generation == 0:
		return "There is no preview here. `/deploy` starts one.", nil
	case e.Skipped != "":
		return fmt.Sprintf("There is no preview here, as %s is skipped: %s.", code(e.Source().ShortSHA()), text(e.Skipped)), nil
	case e.Intent == deployments.Gone:
		return fmt.Sprintf("The preview is removed (%s). `/deploy` brings it back.", text(e.Cause)), nil
	}
	host, err := b.config.States.HostState(ctx, e.Name)
	if err != nil {
		return "", fmt.Errorf("look up %s: %w", e.Name, err)
	}
	var s strings.Builder
	fmt.Fprintf(&s, "Preview %s: %s", hostLink(b.config.PreviewURL, e.Name), text(string(host.Status)))
	switch {
	case host.Status == deployments.HostReady && e.Held != "":
		fmt.Fprintf(&s, ", and %s waits for approval: `/deploy` by somebody with write access", code(short(e.Held)))
	case host.Status == deployments.HostReady && e.Failed:
		s.WriteString(", with the version before; the newest one failed")
	case host.Status == deployments.HostReady && e.Generation > e.Observed:
		s.WriteString(", and a newer version is on its way")
	case host.Status != deployments.HostReady && host.Detail != "":
		s.WriteString(" (" + sentence(host.Detail) + ")")
	}
	if sha := e.Source().ShortSHA(); sha != "" {
		fmt.Fprintf(&s, ". Newest commit: %s", code(sha))
	}
	s.WriteString(".")
	if e.Pinned {
		s.WriteString(" It is pinned, and does not expire.")
	} else if !e.Expires.IsZero() {
		fmt.Fprintf(&s, " Until %s.", e.Expires.UTC().Format("2 Jan 2006, 15:04 MST"))
	}
	return s.String(), nil
}

// spell writes a duration of whole hours as people do: "3 days", "12 hours".
func spell(d time.Duration) string {
	count, unit := int64(d/time.Hour), "hour"
	if count%24 == 0 && count > 0 {
		count, unit = count/24, "day"
	}
	if count != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", count, unit)
}

package bot

import (
	"context"
	"fmt"
	"strings"
	"time"

	"vitrine/deployments"
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
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", u.form, u.does, who)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// statusText is the reply to /status. The zero Environment stands for none.
func (b *Bot) statusText(ctx context.Context, e deployments.Environment) (string, error) {
	if e.Generation == 0 {
		return "There is no preview here. `/deploy` starts one.", nil
	}
	if e.Intent == deployments.Gone {
		return fmt.Sprintf("The preview is removed (%s). `/deploy` brings it back.", text(e.Cause)), nil
	}
	host, err := b.config.States.HostState(ctx, e.Name)
	if err != nil {
		return "", fmt.Errorf("look up %s: %w", e.Name, err)
	}
	var s strings.Builder
	fmt.Fprintf(&s, "Preview %s: %s", hostLink(b.config.PreviewURL, e.Name), text(string(host.Status)))
	switch {
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
	if !e.Expires.IsZero() {
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

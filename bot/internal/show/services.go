package show

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"vitrine/deployments"
)

// Bounds of what is told of one environment. GitHub takes 65,536 characters for a comment, and 65,535 for each of a check's texts.
const (
	maxRows      = 50     // services in a table
	maxTable     = 24_000 // characters of a table
	maxTold      = 4      // services whose trouble is told, or whose last lines are shown
	maxTrouble   = 500    // characters of what is wrong with one of them
	manyLines    = 8_000  // characters of the last lines of what has failed
	someLines    = 3_000  // characters of one service's last lines, where several are shown
	statusLength = 100    // characters of what a service is doing
)

// table is one in Markdown with a row for each service, as many as fit.
func table(head string, services []deployments.ServiceState, row func(i int, s deployments.ServiceState) string) string {
	var b strings.Builder
	b.WriteString("| " + head + " |\n|" + strings.Repeat(" --- |", strings.Count(head, "|")+1) + "\n")
	left := maxTable
	for i, s := range services {
		line := "| " + row(i, s) + " |\n"
		if left -= utf8.RuneCountInString(line); left < 0 || i == maxRows {
			fmt.Fprintf(&b, "\nAnd %d more.\n", len(services)-i)
			break
		}
		b.WriteString(line)
	}
	return b.String()
}

// served is the table of what is live.
func (v View) served(d deployments.Deployment) string {
	return table("Service | Open | Answers | Commit", d.Services, func(i int, s deployments.ServiceState) string {
		open := ""
		if s.Host != "" {
			open = v.link(s.Host)
		}
		if i == 0 && open != "" {
			open = "**" + open + "**"
		}
		return fmt.Sprintf("%s | %s | %s | %s", serviceName(s.Name), open, answer(d, s), Code(d.Source.ShortSHA()))
	})
}

// progress is the table of what is on its way. The hosts of services that have one lead to the lobby, or to the version before.
func (v View) progress(d deployments.Deployment) string {
	return table("Service | Status | Commit", d.Services, func(_ int, s deployments.ServiceState) string {
		name := serviceName(s.Name)
		if s.Host != "" {
			name = fmt.Sprintf("[%s](%s)", name, v.Address(s.Host))
		}
		return fmt.Sprintf("%s | %s | %s", name, Text(Plain(s.Status, statusLength)), Code(d.Source.ShortSHA()))
	})
}

// lastLines shows what the services said last that are up and answer an error.
func lastLines(services []deployments.ServiceState) string {
	var b strings.Builder
	told := 0
	for _, s := range services {
		if len(s.Lines) == 0 {
			continue
		}
		if told++; told > maxTold {
			break
		}
		fmt.Fprintf(&b, "The last lines of %s:\n%s\n\n", serviceName(s.Name), Fence(s.Lines, someLines))
	}
	return b.String()
}

// troubles has a paragraph on each thing that is wrong with what is live, with the last lines.
func troubles(c deployments.Condition) string {
	all := c.Trouble()
	var b strings.Builder
	for _, f := range all[:min(len(all), maxTold)] {
		b.WriteString(trouble(f))
	}
	if more := len(all) - maxTold; more > 0 {
		fmt.Fprintf(&b, "And %d more.\n\n", more)
	}
	return b.String()
}

func trouble(f deployments.Fault) string {
	reason, service := Sentence(Plain(f.Reason, maxTrouble)), Code(plainName(f.Service))
	switch {
	case f.Kind == deployments.FaultRun: // its reason goes on from its name
		reason = service + " " + reason
	case service != "":
		reason = service + ": " + reason
	}
	if len(f.Excerpt) > 0 {
		reason += "\n" + Fence(f.Excerpt, someLines)
	}
	return reason + "\n\n"
}

// timeline is the folded line with how long each phase took.
func timeline(timings []deployments.Timing) string {
	words := map[deployments.Phase]string{
		deployments.Queued: "wait", deployments.Fetching: "fetch", deployments.Building: "build", deployments.Starting: "start",
	}
	var total time.Duration
	var parts []string
	for _, t := range timings {
		if words[t.Phase] == "" {
			continue
		}
		total += t.Took
		parts = append(parts, fmt.Sprintf("%s %.3f s", words[t.Phase], t.Took.Seconds()))
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("<details><summary>Timeline · %.1f s</summary>%s</details>\n", total.Seconds(), strings.Join(parts, " · "))
}

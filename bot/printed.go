package bot

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"vitrine/deployments"
)

// Bounds of what /logs shows. GitHub takes 65,536 characters for a whole comment.
const (
	maxPrinted     = 200       // lines
	maxPrintedSize = 60 << 10  // bytes of all lines
	maxPrintedLine = 1000      // characters of one line
	allPrinted     = 1_000_000 // lines; more than any runtime keeps
)

// resolveLogs replies with the last lines that an environment's services printed, or one of them.
func (b *Bot) resolveLogs(ctx context.Context, e deployments.Environment, who asker, service string) (deployments.Resolution, error) {
	if b.config.Logs == nil {
		return who.refused("This server keeps nothing of what services print."), nil
	}
	var lines []deployments.LogLine
	err := b.config.Logs(ctx, deployments.LogQuery{Environment: e.Name, Service: service, Tail: maxPrinted}, func(l deployments.LogLine) error {
		lines = append(lines, l)
		return nil
	})
	if err != nil {
		return deployments.Resolution{}, fmt.Errorf("read what %s printed: %w", e.Name, err)
	}
	if len(lines) > 0 {
		return deployments.Resolution{State: deployments.RequestSucceeded, Reply: printed(lines, service)}, nil
	}
	services, err := b.printers(ctx, e)
	switch {
	case err != nil:
		return deployments.Resolution{}, err
	case len(services) == 0:
		return deployments.Resolution{State: deployments.RequestSucceeded, Reply: "Nothing was printed yet."}, nil
	default:
		return who.refused(fmt.Sprintf("No service %s has printed anything here. There are %s.", code(service), strings.Join(services, ", "))), nil
	}
}

// printers returns the services of an environment that have printed something, as code.
func (b *Bot) printers(ctx context.Context, e deployments.Environment) (services []string, err error) {
	err = b.config.Logs(ctx, deployments.LogQuery{Environment: e.Name, Tail: allPrinted}, func(l deployments.LogLine) error {
		if name := code(l.Service); !slices.Contains(services, name) {
			services = append(services, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look who printed something in %s: %w", e.Name, err)
	}
	slices.Sort(services)
	return services, nil
}

// printed is the folded block with the last of the lines. service is the one that they are of, empty for several.
func printed(lines []deployments.LogLine, service string) string {
	var shown []string
	size := 0
	for _, l := range slices.Backward(lines) {
		line := l.At.UTC().Format("15:04:05.000 ")
		if service == "" {
			line += l.Service + "  "
		}
		line = strings.TrimRight(line+harmless(l.Text), " ")
		if size += len(line) + 1; size > maxPrintedSize {
			break
		}
		shown = append(shown, line)
	}
	slices.Reverse(shown)
	of := cmp.Or(service, "all services")
	text := strings.Join(shown, "\n")
	mark := "```"
	for strings.Contains(text, mark) {
		mark += "`"
	}
	return fmt.Sprintf("<details><summary>The last %s of %s, in UTC</summary>\n\n%s\n%s\n%s\n\n</details>", counted(len(shown), "line"), of, mark, text, mark)
}

// harmless is a line without characters that move others about, cut.
func harmless(line string) string {
	line = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029':
			return -1
		default:
			return r
		}
	}, line)
	if r := []rune(line); len(r) > maxPrintedLine {
		return string(r[:maxPrintedLine-1]) + "…"
	}
	return line
}

// counted writes a number of things: "1 line", "3 lines".
func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

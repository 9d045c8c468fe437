package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vitrine/deployments"
	"vitrine/deployments/web"
)

// lineTime is how the time of a line is printed.
const lineTime = "2006-01-02 15:04:05.000"

// logsCommand shows what a preview's services print, through the control socket of the server that runs on this machine.
type logsCommand struct {
	Name    string `arg:"" help:"The preview, by the first part of its host: shop-pr-42."`
	Service string `arg:"" optional:"" help:"One of its services; all without."`
	Follow  bool   `short:"f" help:"Go on with what is printed from now on, also by later versions, until Ctrl-C." env:"-"`
	Since   string `help:"Nothing older: a duration (10m, 1h30m), or a time (2026-11-21T08:15:00Z)." env:"-" placeholder:"WHEN"`
	Tail    int    `help:"So many of the last lines that were printed before; 0 for all that are kept, at most 10,000." default:"0" env:"-" placeholder:"LINES"`
	JSON    bool   `name:"json" help:"Print JSON, an object a line." env:"-"`
	Data    string `help:"Data folder of the server that runs." default:"${data}" type:"path"`
}

// Run prints the lines, the oldest first. To be stopped while it follows is no failure.
func (c *logsCommand) Run(ctx context.Context, to console) error {
	query, err := c.query(time.Now())
	if err != nil {
		return err
	}
	path := strings.Replace(web.LogsPath, "{name}", url.PathEscape(c.Name), 1)
	response, err := askServer(ctx, c.Data, http.MethodGet, path, query, nil)
	if err == nil {
		defer response.Body.Close()
		err = c.print(response.Body, to)
	}
	if c.Follow && ctx.Err() != nil {
		return nil
	}
	return err
}

// query returns what to ask for at the time now.
func (c *logsCommand) query(now time.Time) (url.Values, error) {
	query := url.Values{"follow": {strconv.FormatBool(c.Follow)}}
	if c.Tail < 0 {
		return nil, &usageError{fmt.Errorf("--tail=%d: there are no fewer than 0 lines", c.Tail)}
	}
	query.Set("tail", strconv.Itoa(c.Tail))
	if c.Service != "" {
		query.Set("service", c.Service)
	}
	if c.Since == "" {
		return query, nil
	}
	since, err := time.Parse(time.RFC3339, c.Since)
	if err != nil {
		ago, err := time.ParseDuration(c.Since)
		if err != nil || ago < 0 {
			return nil, &usageError{fmt.Errorf("--since=%s is neither a duration, as in 10m, nor a time, as in 2026-11-21T08:15:00Z", c.Since)}
		}
		since = now.Add(-ago)
	}
	query.Set("since", since.UTC().Format(time.RFC3339Nano))
	return query, nil
}

// print prints the server's answer as it comes.
func (c *logsCommand) print(answer io.Reader, to console) error {
	decoder, encoder := json.NewDecoder(answer), json.NewEncoder(to.out)
	encoder.SetEscapeHTML(false)
	width, printed := 0, 0
	for {
		var m web.LogMessage
		switch err := decoder.Decode(&m); {
		case errors.Is(err, io.EOF):
			if printed == 0 {
				fmt.Fprintf(to.err, "%s has printed nothing that is known of.\n", c.what())
			}
			return nil
		case err != nil:
			return fmt.Errorf("read the server's answer: %w", err)
		case m.Problem != nil:
			return refusal(*m.Problem)
		case m.LogLine == nil:
			return errors.New("the server's answer has a line that is none; use the vitrine that the server is")
		}
		printed++
		width = max(width, len(m.Service))
		if err := c.printLine(*m.LogLine, width, encoder, to.out); err != nil {
			return err
		}
	}
}

func (c *logsCommand) printLine(l deployments.LogLine, width int, encoder *json.Encoder, out io.Writer) error {
	if c.JSON {
		return encoder.Encode(l)
	}
	_, err := fmt.Fprintf(out, "%s  %-*s  %s\n", l.At.Local().Format(lineTime), width, l.Service, l.Text)
	return err
}

// what names what is asked about.
func (c *logsCommand) what() string {
	if c.Service != "" {
		return fmt.Sprintf("%s of %s", c.Service, c.Name)
	}
	return c.Name
}

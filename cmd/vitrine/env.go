package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"vitrine/deploy/compose"
	"vitrine/deployments/web"
)

// envCommand keeps a repository's Variables, through the control socket of the server that runs on this machine.
type envCommand struct {
	Set  envSetCommand  `cmd:"" help:"Set Variables. Previews have them from their next deploy: a push, or /deploy in a comment."`
	List envListCommand `cmd:"" help:"List the names of Variables and when each was set. Nobody is told a value."`
	Rm   envRmCommand   `cmd:"" help:"Remove Variables. Previews lose them with their next deploy."`
}

// envTarget says whose Variables are meant, and who keeps them.
type envTarget struct {
	Repo string `arg:"" help:"The repository, owner/name."`
	Data string `help:"Data folder of the server that runs." default:"${data}" type:"path"`
}

// takesEffect tells what a changed Variable waits for.
const takesEffect = "Previews that are up go on as they are; their next deploy (a push, or /deploy in a comment) brings it to them."

type envSetCommand struct {
	envTarget
	Assignments []string `arg:"" optional:"" name:"key=value" help:"What to set. Others on this machine may see arguments; a file they may not."`
	File        string   `help:"A .env file with more of them, - for the standard input." env:"-" placeholder:"PATH"`
}

// Run sets them.
func (c *envSetCommand) Run(ctx context.Context, to console) error {
	values, err := c.values()
	if err != nil {
		return err
	}
	body, err := json.Marshal(web.VariableValues{Variables: values})
	if err != nil {
		return err
	}
	if err := c.request(ctx, http.MethodPatch, nil, body, nil); err != nil {
		return err
	}
	fmt.Fprintf(to.out, "Set for %s: %s.\n%s\n", c.Repo, strings.Join(slices.Sorted(maps.Keys(values)), ", "), takesEffect)
	return nil
}

// values returns what to set: of the file, and what the arguments put in its place.
func (c *envSetCommand) values() (map[string]string, error) {
	values := map[string]string{}
	if c.File != "" {
		text, err := c.read()
		if err != nil {
			return nil, &usageError{err}
		}
		if values, err = compose.ReadEnvFile(bytes.NewReader(text)); err != nil {
			return nil, &usageError{fmt.Errorf("%s: %w", c.File, err)}
		}
	}
	for _, assignment := range c.Assignments {
		name, value, ok := strings.Cut(assignment, "=")
		if !ok {
			return nil, &usageError{fmt.Errorf("%q has no value; write %s=VALUE", assignment, assignment)}
		}
		values[name] = value
	}
	if len(values) == 0 {
		return nil, &usageError{errors.New("there is nothing to set; write KEY=VALUE, or name a .env file with --file")}
	}
	return values, nil
}

func (c *envSetCommand) read() ([]byte, error) {
	if c.File == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(c.File)
}

type envListCommand struct {
	envTarget
	JSON bool `name:"json" help:"Print JSON." env:"-"`
}

// Run lists them.
func (c *envListCommand) Run(ctx context.Context, to console) error {
	var list web.VariableList
	if err := c.request(ctx, http.MethodGet, nil, nil, &list); err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(to.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(list)
	}
	if len(list.Variables) == 0 {
		fmt.Fprintf(to.out, "%s has no Variables.\n", c.Repo)
		return nil
	}
	table := tabwriter.NewWriter(to.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tSET")
	for _, v := range list.Variables {
		fmt.Fprintf(table, "%s\t%s\n", v.Name, v.SetAt.Local().Format(time.DateTime))
	}
	return table.Flush()
}

type envRmCommand struct {
	envTarget
	Names []string `arg:"" name:"key" help:"What to remove."`
}

// Run removes them.
func (c *envRmCommand) Run(ctx context.Context, to console) error {
	if err := c.request(ctx, http.MethodDelete, url.Values{"name": c.Names}, nil, nil); err != nil {
		return err
	}
	fmt.Fprintf(to.out, "Removed from %s: %s.\n%s\n", c.Repo, strings.Join(c.Names, ", "), takesEffect)
	return nil
}

// request asks the server and decodes its answer into answer, where that is not nil.
func (t *envTarget) request(ctx context.Context, method string, query url.Values, body []byte, answer any) error {
	owner, name, ok := strings.Cut(t.Repo, "/")
	if !ok {
		return &usageError{fmt.Errorf("%q is no repository; write owner/name, as in acme/shop", t.Repo)}
	}
	path := strings.NewReplacer("{owner}", url.PathEscape(owner), "{repo}", url.PathEscape(name)).Replace(web.VariablesPath)
	response, err := askServer(ctx, t.Data, method, path, query, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

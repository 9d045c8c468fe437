package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/docker/go-units"

	"vitrine/deployments/web"
)

// usageCommand shows what previews take of the engine's machine, through the control socket of the server that runs on this machine.
type usageCommand struct {
	Name string `arg:"" optional:"" help:"One preview, by the first part of its host: shop-pr-42; all without."`
	JSON bool   `name:"json" help:"Print JSON; sizes are bytes." env:"-"`
	Data string `help:"Data folder of the server that runs." default:"${data}" type:"path"`
}

// Run prints a table, or JSON. A preview that has nothing on the engine is not in it.
func (c *usageCommand) Run(ctx context.Context, to console) error {
	query := url.Values{}
	if c.Name != "" {
		query.Set("environment", c.Name)
	}
	response, err := askServer(ctx, c.Data, http.MethodGet, web.UsagePath, query, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var list web.UsageList
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	switch {
	case c.JSON:
		encoder := json.NewEncoder(to.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(list)
	case len(list.Environments) > 0:
	case c.Name != "":
		fmt.Fprintf(to.out, "%s has nothing on the engine.\n", c.Name)
		return nil
	default:
		fmt.Fprintln(to.out, "No preview has anything on the engine.")
		return nil
	}
	table := tabwriter.NewWriter(to.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PREVIEW\tRUNNING\tMEMORY\tCPUS\tFILES\tVOLUMES\tLOGS")
	for _, u := range list.Environments {
		fmt.Fprintf(table, "%s\t%d\t%s\t%.2f\t%s\t%s\t%s\n", u.Environment, u.Containers, size(u.Memory), u.CPUs,
			size(u.Disk.Layers), size(u.Disk.Volumes), size(u.Disk.Logs))
	}
	return table.Flush()
}

// size writes bytes for people: "12.5MiB".
func size(bytes int64) string { return units.BytesSize(float64(bytes)) }

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newDeltaCommand() *cobra.Command {
	return newGroupCommand("delta", "Look at one delta", newDeltaShowCommand(), newDeltaLineageCommand())
}

func newDeltaShowCommand() *cobra.Command {
	var id string
	i := &inspection[*api.Delta]{
		ask:  func(ctx context.Context, s api.Source) (*api.Delta, error) { return s.Delta(ctx, id) },
		show: showDelta,
	}
	cmd := i.command(&cobra.Command{
		Use: "show CID", Short: "Show a delta: author, parents, components and metrics",
		Long:    "Shows the delta whose CID is, or begins with, the argument.",
		Example: "  mlecs delta show bafyreib --node edge-1",
		Args:    oneArg("CID"),
	})
	inspect := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id = args[0]
		return inspect(cmd, args)
	}
	return cmd
}

func showDelta(p *page, d *api.Delta) {
	p.fields(
		"delta", d.CID,
		"round", fmt.Sprintf("%d", d.Round),
		"author", strings.TrimSpace(d.AuthorName+" "+d.Author),
		"sequence number", fmt.Sprintf("%d", d.Seq),
		"made", ago(d.Created),
		"modalities", strings.Join(d.Modalities, ", "),
		"rows", fmt.Sprintf("%d private, %d public", d.Rows, d.PublicRows),
		"parameters", countText(d.Params),
		"size", bytesText(d.Bytes),
		"metrics", metricsText(d.Metrics),
		"base model", d.Base,
		"parents", strings.Join(d.Parents, "\n"),
	)
	p.line("")
	var rows []table.Row
	for _, c := range d.Components {
		stored := "no"
		if c.Stored {
			stored = "yes"
		}
		rows = append(rows, table.Row{c.Name, c.Signature, countText(c.Params), bytesText(c.Bytes), c.Codec, stored, c.CID})
	}
	p.list(table.Row{"component", "signature", "parameters", "size", "codec", "stored here", "blob"}, rows, []int{3, 4}, "It has no components.")
}

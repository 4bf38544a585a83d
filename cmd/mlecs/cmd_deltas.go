package main

import (
	"context"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newDeltasCommand() *cobra.Command {
	var last int
	i := &inspection[[]api.Delta]{
		ask: func(ctx context.Context, s api.Source) ([]api.Delta, error) {
			return s.Deltas(ctx, api.Window{Last: last})
		},
		show: showDeltas,
	}
	cmd := i.command(&cobra.Command{Use: "deltas", Short: "List the last deltas that this node knows of", Example: "  mlecs deltas\n  mlecs deltas --last 0 --json"})
	registerLast(cmd, &last, 50, "deltas")
	return cmd
}

func showDeltas(p *page, deltas []api.Delta) {
	var rows []table.Row
	for _, d := range deltas {
		rows = append(rows, table.Row{d.Round, d.CID, author(d), strings.Join(d.Modalities, "+"), d.Rows, len(d.Components), countText(d.Params), bytesText(d.Bytes), ago(d.Created)})
	}
	p.list(table.Row{"round", "delta", "author", "modalities", "rows", "components", "parameters", "size", "made"}, rows, []int{1, 5, 6, 7, 8},
		"No deltas are known yet.")
}

func author(d api.Delta) string {
	if d.AuthorName != "" {
		return d.AuthorName + " " + short(d.Author)
	}
	return short(d.Author)
}

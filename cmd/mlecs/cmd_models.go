package main

import (
	"context"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newModelsCommand() *cobra.Command {
	i := &inspection[[]api.Model]{
		ask:  func(ctx context.Context, s api.Source) ([]api.Model, error) { return s.Models(ctx) },
		show: showModels,
	}
	return i.command(&cobra.Command{Use: "models", Short: "List the federation's base models"})
}

func showModels(p *page, models []api.Model) {
	var rows []table.Row
	for _, m := range models {
		var layers, dim, vocab any = "-", "-", "-"
		stored := "no"
		if m.Stored {
			layers, dim, vocab, stored = m.Layers, m.Dim, m.Vocab, "yes"
		}
		rows = append(rows, table.Row{m.Name, m.Role, countText(m.Params), bytesText(m.Bytes), layers, dim, vocab, stored, m.CID})
	}
	p.list(table.Row{"base model", "used by", "parameters", "size", "layers", "width", "vocabulary", "stored here", "CID"}, rows, []int{3, 4, 5, 6, 7},
		"This node is in no federation yet.")
}

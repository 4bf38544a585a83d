package main

import (
	"context"
	"fmt"

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
	families := 0
	for _, m := range models {
		families = max(families, m.Family)
	}
	var rows []table.Row
	for _, m := range models {
		var layers, dim, vocab any = "-", "-", "-"
		stored := "no"
		if m.Stored {
			layers, dim, vocab, stored = m.Layers, m.Dim, m.Vocab, "yes"
		}
		users := m.Role
		if families > 0 && m.Role == "edge" {
			users = fmt.Sprintf("edge, family %d", m.Family)
		}
		rows = append(rows, table.Row{m.Name, users, dash(m.Architecture), countText(m.Params), bytesText(m.Bytes), layers, dim, vocab, stored, m.CID})
	}
	p.list(table.Row{"base model", "used by", "architecture", "parameters", "size", "layers", "width", "vocabulary", "stored here", "CID"}, rows, []int{4, 5, 6, 7, 8},
		"This node is in no federation yet.")
}

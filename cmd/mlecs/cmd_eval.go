package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/node/api"
)

func newEvalCommand() *cobra.Command {
	var dir, split string
	i := &inspection[*api.Evaluation]{
		ask: func(ctx context.Context, s api.Source) (*api.Evaluation, error) {
			if dir == "" {
				return s.Eval(ctx, api.EvalRequest{Split: split})
			}
			rows, release, err := node.RowsOfSplit(dir, split)
			if err != nil {
				return nil, err
			}
			defer release.Close()
			e, err := s.Eval(ctx, api.EvalRequest{Split: split, Rows: rows})
			if err != nil {
				return nil, err
			}
			e.Data = dir
			return e, nil
		},
		show: showEvaluation,
	}
	cmd := i.command(&cobra.Command{
		Use: "eval", Short: "Score the answers of a node's model",
		Long: `Lets the node's model, as it was last stored, answer the rows of the node's own data or of another folder of the same layout, and compares
the answers with the targets: Rouge-1, Rouge-2, Rouge-L and Rouge-Lsum (precision, recall and F, without stemmer) and exact match, as means
over rows; in all, by which modalities rows have, and by each field of the rows with a few values. Beside it stands what the best constant
answer reaches, chosen on the rows that the node learns from. On a super-peer it is the large model and the small ones together.

The node may run (its training goes on) or be stopped.`,
		Example: "  mlecs eval\n  mlecs eval --node edge-1 --json\n  mlecs eval --data ./other-rows --split validation",
	})
	cmd.Flags().StringVar(&dir, "data", "", "data set folder to score on (default: the node's own)")
	cmd.Flags().StringVar(&split, "split", "test", "rows to score on: train, validation or test")
	return cmd
}

func showEvaluation(p *page, e *api.Evaluation) {
	leftOut := ""
	if e.RowsLeftOut > 0 {
		leftOut = fmt.Sprintf("%d, which have none of the node's modalities", e.RowsLeftOut)
	}
	p.fields(
		"node", e.Node,
		"model", modelText(e.Model),
		"rows", fmt.Sprintf("%d, split %s of %s", e.All.Rows, e.Split, e.Data),
		"left out", leftOut,
		"best constant answer", e.ConstantAnswer,
	)
	p.line("")
	measure := func(name string, of func(api.TextScores) api.Measure) table.Row {
		m := of(e.All.Scores)
		return table.Row{name, scoreText(m.Precision), scoreText(m.Recall), scoreText(m.F), constantText(e.All, func(s api.TextScores) float64 { return of(s).F })}
	}
	p.list(table.Row{"all rows", "precision", "recall", "F", "constant's F"}, []table.Row{
		measure("Rouge-1", func(s api.TextScores) api.Measure { return s.Rouge1 }),
		measure("Rouge-2", func(s api.TextScores) api.Measure { return s.Rouge2 }),
		measure("Rouge-L", func(s api.TextScores) api.Measure { return s.RougeL }),
		measure("Rouge-Lsum", func(s api.TextScores) api.Measure { return s.RougeLsum }),
		{"exact match", "", "", scoreText(e.All.Scores.ExactMatch), constantText(e.All, exactMatch)},
	}, []int{2, 3, 4, 5}, "")
	showGroups(p, "modalities", e.Subsets)
	for _, a := range e.Attributes {
		showGroups(p, a.Field, a.Values)
	}
}

// showGroups prints scores of parts of the rows, with what the constant answer reaches in parentheses.
func showGroups(p *page, what string, groups []api.EvalGroup) {
	p.line("")
	var rows []table.Row
	for _, g := range groups {
		cell := func(of func(api.TextScores) float64) string {
			return fmt.Sprintf("%s (%s)", scoreText(of(g.Scores)), constantText(g, of))
		}
		rows = append(rows, table.Row{
			g.Name, g.Rows,
			cell(func(s api.TextScores) float64 { return s.Rouge1.F }), cell(func(s api.TextScores) float64 { return s.Rouge2.F }),
			cell(func(s api.TextScores) float64 { return s.RougeL.F }), cell(func(s api.TextScores) float64 { return s.RougeLsum.F }),
			cell(exactMatch),
		})
	}
	p.list(table.Row{what, "rows", "Rouge-1 F", "Rouge-2 F", "Rouge-L F", "Rouge-Lsum F", "exact match"}, rows, []int{2, 3, 4, 5, 6, 7}, "")
}

func exactMatch(s api.TextScores) float64 { return s.ExactMatch }

func scoreText(f float64) string { return fmt.Sprintf("%.3f", f) }

func constantText(g api.EvalGroup, of func(api.TextScores) float64) string {
	if g.Constant == nil {
		return "-"
	}
	return scoreText(of(*g.Constant))
}

// modelText tells which model answered, and how far it had learned.
func modelText(m api.CurrentModel) string {
	state := fmt.Sprintf("%s, round %d", m.State, m.Round)
	if m.State == "untrained" {
		state = "has learned nothing yet"
	}
	return fmt.Sprintf("%s (%s; %s)", m.Base, strings.Join(m.Modalities, ", "), state)
}

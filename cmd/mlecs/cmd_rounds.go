package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newRoundsCommand() *cobra.Command {
	var last int
	i := &inspection[[]api.Round]{
		ask: func(ctx context.Context, s api.Source) ([]api.Round, error) {
			return s.Rounds(ctx, api.Window{Last: last})
		},
		show: showRounds,
	}
	cmd := i.command(&cobra.Command{
		Use: "rounds", Short: "List the last rounds: aggregates, their inputs and weights",
		Long:    "Lists the aggregates that this node knows of the last rounds. Round 0 has no inputs: in it a super-peer teaches what the public rows taught it.",
		Example: "  mlecs rounds\n  mlecs rounds --last 0 --json",
	})
	registerLast(cmd, &last, 20, "rounds")
	return cmd
}

func showRounds(p *page, rounds []api.Round) {
	var rows []table.Row
	for _, r := range rounds {
		inputs := make([]string, len(r.Inputs))
		for i, in := range r.Inputs {
			inputs[i] = fmt.Sprintf("%s %.3f %s", short(in.Author), in.Weight, strings.Join(in.Modalities, "+"))
			if in.Round < r.Round {
				inputs[i] += fmt.Sprintf(", late: of round %d", in.Round)
			}
		}
		verdict := dash(r.Verdict)
		if r.Disputes > 0 {
			verdict += fmt.Sprintf(", disputed by %d", r.Disputes)
		}
		rows = append(rows, table.Row{r.Round, short(r.Aggregate), verdict, short(r.Leader), fmt.Sprintf("%.1f s", r.Seconds), ago(r.Created), dash(strings.Join(inputs, "\n"))})
	}
	p.list(table.Row{"round", "aggregate", "found here", "leader", "took", "closed", "inputs: author, weight, modalities"}, rows, []int{1, 5}, "No round has closed yet.")
}

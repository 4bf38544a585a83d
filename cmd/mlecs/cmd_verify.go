package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newVerifyCommand() *cobra.Command {
	var id, verdict string
	i := &inspection[*api.Verification]{
		ask: func(ctx context.Context, s api.Source) (*api.Verification, error) {
			v, err := s.Verify(ctx, id)
			if err == nil {
				verdict = v.Verdict
			}
			return v, err
		},
		show: showVerification,
	}
	cmd := i.command(&cobra.Command{
		Use: "verify CID", Short: "Recompute an aggregate from its inputs, and compare it bit for bit",
		Long: `Recomputes the aggregate whose CID is, or begins with, the argument: every component is averaged anew from the deltas and from the
super-peer's own contribution, and its blob must have the CID that the aggregate names. A running node fetches the blobs that it lacks.
What the super-peer trained itself, its supervision and its checkpoint, cannot be recomputed from records.

It fails (exit code 1) unless every component is verified.`,
		Example: "  mlecs rounds --json | grep aggregate\n  mlecs verify bafyreib --node edge-1",
		Args:    oneArg("CID"),
	})
	inspect := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id = args[0]
		if err := inspect(cmd, args); err != nil {
			return err
		}
		switch verdict {
		case api.VerdictFalse:
			return errors.New("the aggregate is false: its inputs do not give what it says")
		case api.VerdictUnknown:
			return api.Advise(errors.New("not every component could be recomputed"), "run it where the node runs and members are in reach, or on a node that keeps more rounds")
		}
		return nil
	}
	return cmd
}

func showVerification(p *page, v *api.Verification) {
	fetched := "nothing"
	if v.Fetched > 0 {
		fetched = fmt.Sprintf("%d blobs, %s", v.Fetched, bytesText(v.Bytes))
	}
	p.fields(
		"aggregate", v.Aggregate,
		"round", fmt.Sprintf("%d, of %d deltas", v.Round, v.Inputs),
		"super-peer", strings.TrimSpace(v.AuthorName+" "+v.Author),
		"fetched", fetched,
		"verdict", v.Verdict,
	)
	p.line("")
	var rows []table.Row
	for _, c := range v.Components {
		rows = append(rows, table.Row{c.Name, c.Signature, c.Rule, c.Inputs, c.Claimed, c.Verdict, c.Detail})
	}
	p.list(table.Row{"component", "signature", "rule", "inputs", "blob", "verdict", "why"}, rows, []int{4}, "It has no components.")
	for _, d := range v.Disputes {
		p.line("disputed by %s (%s): %s %s", strings.TrimSpace(d.AuthorName+" "+short(d.Author)), ago(d.Created), dash(d.Component), d.Reason)
	}
}

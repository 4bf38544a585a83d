package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/testnet"
)

func newTestnetPsCommand() *cobra.Command {
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "ps", Short: "List the nodes of a testnet", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runTestnetPs(cmd, testnetFolder(out), asJSON) },
	}
	outFlag(cmd, &out)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func runTestnetPs(cmd *cobra.Command, dir string, asJSON bool) error {
	lines, err := testnet.Ps(cmd.Context(), dir)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), lines)
	}
	rows := make([]table.Row, len(lines))
	for i, l := range lines {
		pid := ""
		if l.PID > 0 {
			pid = fmt.Sprint(l.PID)
		}
		rows[i] = table.Row{l.Name, l.Role, pid, l.State, fmt.Sprintf("%d of %d", l.Round, l.Rounds), l.Phase, l.Peers, short(l.PeerID)}
	}
	p := &page{w: cmd.OutOrStdout()}
	p.list(table.Row{"node", "role", "pid", "state", "round", "phase", "peers", "peer id"}, rows, []int{3, 7}, "The testnet has no nodes yet.")
	return nil
}

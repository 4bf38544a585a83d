package main

import (
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/testnet"
)

func newTestnetLogsCommand() *cobra.Command {
	var out string
	var follow bool
	cmd := &cobra.Command{
		Use: "logs NAME", Short: "Show the log of a testnet's node", Args: oneArg("node name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return testnet.Logs(cmd.Context(), testnetFolder(out), args[0], follow, cmd.OutOrStdout())
		},
	}
	outFlag(cmd, &out)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on showing what is added, until interrupted")
	return cmd
}

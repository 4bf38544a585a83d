package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/testnet"
)

func newTestnetDownCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "down", Short: "Stop the nodes of a testnet", Args: noArgs,
		Long: `Stop the nodes of a testnet: by their control API, those that do not answer by SIGTERM, those that do not end by
SIGKILL. What is on disk stays.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runTestnetDown(cmd, testnetFolder(out)) },
	}
	outFlag(cmd, &out)
	return cmd
}

func runTestnetDown(cmd *cobra.Command, dir string) error {
	stopped, err := testnet.Down(cmd.Context(), dir)
	if len(stopped) > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "Stopped %s.\n", strings.Join(stopped, ", "))
	} else if err == nil {
		fmt.Fprintln(cmd.OutOrStdout(), "No node runs.")
	}
	return err
}

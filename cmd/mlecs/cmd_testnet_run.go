package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/testnet"
)

func newTestnetRunCommand() *cobra.Command {
	var f testnetFlags
	cmd := &cobra.Command{
		Use: "run", Short: "Run a testnet to its last round, report, and stop it", Args: noArgs,
		Long: `Run a federation of real nodes on this machine: every node is a process with a home and a peer id of its own.
Edges get different data and modalities, join by token, learn together for some rounds, and are compared with
the same models trained alone. At the end it prints a table, writes report.json, report.md, curves.png and
curves.svg to the testnet's folder, and stops the nodes.

Without flags it is a demonstration: a few long rounds of nodes that have plenty of rows. With any of --target, --rows-per-node,
--rows-spread, --public-rows, --modality-rate, --families, --structure, --public-labels, --group-by, --steps and --tuned the nodes
learn as in mlecs experiment, and for the same data, settings and seed they reach the same scores as mlecs there. Codecs go with
either; noise for privacy (--dp-noise) is drawn anew every time.

The stopped nodes can be inspected: mlecs deltas --node edge-1.`,
		Example: "  mlecs testnet run\n  mlecs testnet run --data my-data --edges 4 --seed 7 --json report.json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runTestnetRun(cmd, &f) },
	}
	f.flags(cmd)
	return cmd
}

func runTestnetRun(cmd *cobra.Command, f *testnetFlags) error {
	finish, err := f.prepare(cmd)
	if err != nil {
		return err
	}
	_, err = testnet.Run(cmd.Context(), f.options)
	return errors.Join(err, finish())
}

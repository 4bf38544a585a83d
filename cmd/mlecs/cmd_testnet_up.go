package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/testnet"
)

func newTestnetUpCommand() *cobra.Command {
	var f testnetFlags
	cmd := &cobra.Command{
		Use: "up", Short: "Start a testnet and leave it running", Args: noArgs,
		Long: `Start a testnet as mlecs testnet run does, and leave its nodes running. It returns when all nodes run; with
--json FILE it stays until the last round and writes the report first.

Watch the nodes with mlecs testnet ps, stop them with mlecs testnet down. A node that was stopped or killed is
started again with mlecs start --home HOME; mlecs testnet ps --json tells the homes.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runTestnetUp(cmd, &f) },
	}
	f.flags(cmd)
	return cmd
}

func runTestnetUp(cmd *cobra.Command, f *testnetFlags) error {
	finish, err := f.prepare(cmd)
	if err != nil {
		return err
	}
	return errors.Join(testnet.Up(cmd.Context(), f.options), finish())
}

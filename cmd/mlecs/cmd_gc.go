package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newGCCommand() *cobra.Command {
	var f homeFlags
	var keep int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove deltas and aggregates of old rounds from the disk",
		Long: `Removes the blobs that the newest K rounds, the genesis and a delta that is yet to be published do not refer to; checkpoints and
supervision are kept for two rounds. Records stay: they are small, and they are the history. Older aggregates can then no longer be
verified here unless another member still has their inputs.

A running node does this by itself after every round, as keep_rounds in config.yaml says.`,
		Example: "  mlecs gc --keep-rounds 4",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("keep-rounds") && keep < 1 {
				return usageError{fmt.Errorf("--keep-rounds %d: it must be at least 1", keep)}
			}
			h, err := f.open()
			if err != nil {
				return err
			}
			s, err := h.GC(cmd.Context(), keep)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Removed %d blobs, %s; kept %d, of %d rounds.\n", s.Removed, bytesText(s.Bytes), s.Kept, s.KeepRounds)
			return nil
		},
	}
	f.registerInspecting(cmd)
	cmd.Flags().IntVar(&keep, "keep-rounds", 0, "rounds to keep (default: keep_rounds of config.yaml)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

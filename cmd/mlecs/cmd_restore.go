package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node"
)

// shownFaults is how many faults are printed.
const shownFaults = 10

func newRestoreCommand() *cobra.Command {
	var f homeFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a home from a backup",
		Long: `Makes a home, which must be empty or not there, from a file that mlecs backup wrote. Every blob is compared with its name, and
every record is checked; what is damaged among the records is left out, and comes from other members again.

Never run the restored node beside the one that the backup is of: two nodes would sign in one name. When it is started, the restored node
first syncs with another member, so that it learns what it published after the backup was made.`,
		Example: "  mlecs restore /mnt/usb/kitchen.tar --home ~/.mlecs",
		Args:    oneArg("file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := f.dir()
			if err != nil {
				return err
			}
			h, faults, err := node.Restore(cmd.Context(), args[0], dir)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"home": h.Dir, "faults": faults})
			}
			for i, f := range faults {
				if i == shownFaults {
					fmt.Fprintf(cmd.ErrOrStderr(), "and %d more\n", len(faults)-i)
					break
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "damaged, and left out or mended: %s: %s\n", f.What, f.Why)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Restored to %s. Next: mlecs start --home %s\n", h.Dir, h.Dir)
			return nil
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newBackupCommand() *cobra.Command {
	var f homeFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a backup of the node to a file, also while it runs",
		Long: `Writes config, keys, records, blobs, models and public rows to one file, a tar, as they are at one moment. The node's own rows (the folder
data of config.yaml) are not in it.

Keep the file secret: whoever has it has the node's identity, and on the founder's node the key that admits members.`,
		Example: "  mlecs backup /mnt/usb/kitchen.tar",
		Args:    oneArg("file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := f.open()
			if err != nil {
				return err
			}
			size, err := h.Backup(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"file": args[0], "bytes": size})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Wrote %s, %s. Restore it with: mlecs restore %s --home DIR\n", args[0], bytesText(size), args[0])
			return nil
		},
	}
	f.registerInspecting(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

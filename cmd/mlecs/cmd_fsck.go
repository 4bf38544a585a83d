package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newFsckCommand() *cobra.Command {
	var f homeFlags
	var repair, asJSON bool
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Read every record and blob of the home, and compare it with its name",
		Long: `Checks the signature, body and id of every record, the index's entries, the content of every blob, and that the learner's model is there.
With --repair what is damaged is removed, so that it is fetched from other members again, and the index is mended. It may be run while the
node runs.

It fails (exit code 1) if faults are left.`,
		Example: "  mlecs fsck\n  mlecs fsck --repair",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := f.open()
			if err != nil {
				return err
			}
			c, err := h.Check(cmd.Context(), repair)
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), c); err != nil {
					return err
				}
			} else {
				showCheck(&page{w: cmd.OutOrStdout()}, c)
			}
			left := 0
			for _, x := range c.Faults {
				if !x.Repaired {
					left++
				}
			}
			if left > 0 && !repair {
				return api.Advise(fmt.Errorf("%d faults", left), "mend what can be mended with: mlecs fsck --repair")
			}
			if left > 0 {
				return fmt.Errorf("%d faults are left", left)
			}
			return nil
		},
	}
	f.registerInspecting(cmd)
	cmd.Flags().BoolVar(&repair, "repair", false, "remove what is damaged, and mend the index")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func showCheck(p *page, c *api.Check) {
	p.line("%s records and %s blobs (%s) are sound.", countText(int64(c.Records)), countText(int64(c.Blobs)), bytesText(c.Bytes))
	var rows []table.Row
	for _, x := range c.Faults {
		repaired := "no"
		if x.Repaired {
			repaired = "yes"
		}
		rows = append(rows, table.Row{x.What, x.Why, repaired})
	}
	p.list(table.Row{"fault", "why", "repaired"}, rows, nil, "No faults.")
}

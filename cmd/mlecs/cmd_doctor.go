package main

import (
	"errors"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node"
)

func newDoctorCommand() *cobra.Command {
	var f homeFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps the node from working, and say what to do",
		Long: `Examines clock, disk, memory, ports, reachability, membership and peers of a node, running or not, and says for each finding what to do.
It changes nothing. It fails (exit code 1) if a finding is bad enough to keep the node from taking part.`,
		Example: "  mlecs doctor\n  mlecs doctor --json --node edge-1",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := f.open()
			if err != nil {
				return err
			}
			findings, err := h.Doctor(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), findings); err != nil {
					return err
				}
			} else {
				showFindings(&page{w: cmd.OutOrStdout()}, findings)
			}
			for _, x := range findings {
				if x.Level == node.FindingBad {
					return errors.New("the node cannot take part as it is")
				}
			}
			return nil
		},
	}
	f.registerInspecting(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func showFindings(p *page, findings []node.Finding) {
	var rows []table.Row
	for _, x := range findings {
		rows = append(rows, table.Row{x.Level, x.Part, strings.TrimSpace(x.Text + "\n" + x.Advice)})
	}
	p.list(table.Row{"", "part", "finding, and what to do"}, rows, nil, "Nothing was examined.")
}

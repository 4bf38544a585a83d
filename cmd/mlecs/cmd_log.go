package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newLogCommand() *cobra.Command {
	f := &homeFlags{}
	var asJSON bool
	subsystems, levels := []string{"all", "node", "learner", "p2p"}, []string{"debug", "info", "warn", "error"}
	cmd := &cobra.Command{
		Use: "log [SUBSYSTEM LEVEL]", Short: "Show or set what a running node logs",
		Long: `Without arguments it shows the log level of every subsystem of the running node. With two it sets that of a subsystem, or of all,
to debug, info, warn or error, until the node stops; the level at start is "log" in config.yaml.`,
		Example:           "  mlecs log\n  mlecs log p2p debug\n  mlecs log all info --node edge-1",
		ValidArgsFunction: inTurn(subsystems, levels),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 0 && len(args) != 2 {
				return usageError{fmt.Errorf("%s takes a subsystem and a level, or nothing", cmd.CommandPath())}
			}
			for i, known := range [][]string{subsystems, levels}[:len(args)] {
				if !slices.Contains(known, args[i]) {
					return usageError{fmt.Errorf("%s %q: it takes %s", []string{"subsystem", "level"}[i], args[i], strings.Join(known, ", "))}
				}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			var levels []api.LogLevel
			if len(args) == 2 {
				levels, err = client.SetLogLevel(cmd.Context(), api.LogLevel{Subsystem: args[0], Level: args[1]})
			} else {
				levels, err = client.LogLevels(cmd.Context())
			}
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), levels)
			}
			var rows []table.Row
			for _, l := range levels {
				rows = append(rows, table.Row{l.Subsystem, l.Level})
			}
			(&page{w: cmd.OutOrStdout()}).list(table.Row{"subsystem", "level"}, rows, nil, "No subsystems.")
			return nil
		},
	}
	f.registerAsking(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

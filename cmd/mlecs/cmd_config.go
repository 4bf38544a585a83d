package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

func newConfigCommand() *cobra.Command {
	return newGroupCommand("config", "Look at a node's config", newConfigShowCommand())
}

func newConfigShowCommand() *cobra.Command {
	f := &homeFlags{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the config in force, defaults included",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := f.open()
			if err != nil {
				return err
			}
			cfg, err := h.Config()
			if err != nil {
				return err
			}
			text, err := cfg.YAML()
			if err != nil {
				return err
			}
			if !asJSON {
				_, err = cmd.OutOrStdout().Write(text)
				return err
			}
			// The keys are those of the file.
			var keys map[string]any
			if err := yaml.Unmarshal(text, &keys); err != nil {
				return fmt.Errorf("encode config: %w", err)
			}
			return printJSON(cmd.OutOrStdout(), keys)
		},
	}
	f.registerInspecting(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

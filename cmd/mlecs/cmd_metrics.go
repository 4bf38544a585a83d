package main

import "github.com/spf13/cobra"

func newMetricsCommand() *cobra.Command {
	f := &homeFlags{}
	cmd := &cobra.Command{
		Use: "metrics", Short: "Print a running node's metrics as Prometheus reads them", Args: noArgs,
		Long: `Prints what /metrics of the node's API answers. Prometheus itself scrapes the node over TCP, with the node's token; see "listen" under
"api" in config.yaml.`,
		Example: "  mlecs metrics --node edge-1 | grep ^mlecs_score",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := f.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			text, err := client.Get(cmd.Context(), "/metrics")
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	f.registerAsking(cmd)
	return cmd
}

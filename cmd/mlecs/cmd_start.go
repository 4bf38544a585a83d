package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/testnet"
)

type startOptions struct {
	homeFlags
	settings
}

func newStartCommand() *cobra.Command {
	o := &startOptions{}
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run the node until it is told to stop (SIGINT or SIGTERM)",
		Long: `Runs the node in the foreground and logs to standard error. Flags that set something of the node are kept in config.yaml.
SIGINT (Ctrl-C) or SIGTERM stops it cleanly.`,
		Example: `  mlecs start --role edge --data ~/kitchen-rows`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runStart(cmd, o) },
	}
	o.homeFlags.register(cmd)
	o.settings.register(cmd)
	return cmd
}

func runStart(cmd *cobra.Command, o *startOptions) error {
	h, err := o.open()
	if err != nil {
		return err
	}
	if err := configure(cmd, h, &o.settings); err != nil {
		return err
	}
	cfg, err := h.Config()
	if err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Log)); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	ctx, cancel := testnet.Leash(cmd.Context())
	defer cancel()
	return node.Serve(ctx, h, log)
}

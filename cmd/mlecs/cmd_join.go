package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node"
)

type joinOptions struct {
	homeFlags
	settings
}

func newJoinCommand() *cobra.Command {
	o := &joinOptions{}
	cmd := &cobra.Command{
		Use:   "join TOKEN",
		Short: "Become a member: prove the token, fetch genesis, public data and base model",
		Long: `Joins the federation of a token that a member printed with "mlecs invite". Everything is fetched from members and verified by its CID.
A join that was interrupted goes on when the same command is given again. Makes the home first if there is none.`,
		Example: `  mlecs join mlecs1... --data ~/kitchen-rows --name kitchen
  mlecs start`,
		Args: oneArg("token"),
		RunE: func(cmd *cobra.Command, args []string) error { return runJoin(cmd, o, args[0]) },
	}
	o.homeFlags.register(cmd)
	o.settings.register(cmd)
	return cmd
}

func runJoin(cmd *cobra.Command, o *joinOptions, token string) error {
	h, err := o.openOrInit()
	if err != nil {
		return err
	}
	if err := configure(cmd, h, &o.settings); err != nil {
		return err
	}
	p := newProgress(cmd.ErrOrStderr())
	err = h.Join(cmd.Context(), token, p.update)
	p.close()
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Joined. Next: mlecs start --home %s\n", h.Dir)
	return nil
}

// configure writes the settings that were given as flags to the home's config.
func configure(cmd *cobra.Command, h *node.Home, s *settings) error {
	before, err := h.Config()
	if err != nil {
		return err
	}
	after := before
	if err := s.apply(cmd, &after); err != nil {
		return err
	}
	old, err := before.YAML()
	if err != nil {
		return err
	}
	fresh, err := after.YAML()
	if err != nil || string(old) == string(fresh) {
		return err
	}
	return h.WriteConfig(after)
}

package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newRenewCommand() *cobra.Command {
	var f homeFlags
	var expires time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "renew PEER",
		Short: "Give a member a certificate that ends later",
		Long: `Renews the membership of PEER, named as for mlecs revoke: it gets a certificate like its last one that ends after --expires from now.
PEER need not be running; it gets the certificate from any member. An expired member can be renewed, a revoked one cannot.

The home must hold the founder key, or be a delegate's. With renew: true in its config.yaml such a node renews by itself all members that it
meets in the last fifth of their certificate's time.`,
		Example: "  mlecs renew kitchen --expires 8760h",
		Args:    oneArg("peer"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if expires < time.Second {
				return usageError{fmt.Errorf("--expires %s: it must be at least a second, such as 720h", expires)}
			}
			h, err := f.open()
			if err != nil {
				return err
			}
			m, err := h.Renew(cmd.Context(), api.RenewRequest{Peer: args[0], Seconds: int64(expires / time.Second)})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), m)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Renewed %s %s %s until %s.\n", m.Role, dash(m.Name), m.PeerID, dateText(m.Expires))
			return nil
		},
	}
	f.registerInspecting(cmd)
	cmd.Flags().DurationVar(&expires, "expires", 365*24*time.Hour, "how long the membership lasts from now")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

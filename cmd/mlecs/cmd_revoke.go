package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newRevokeCommand() *cobra.Command {
	var f homeFlags
	var reason string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "revoke PEER",
		Short: "End a membership, or an unused invite, everywhere",
		Long: `Ends the membership of PEER: a peer id, its beginning or end (at least 6 characters), or a name, as mlecs members lists them. The
revocation is a signed record that spreads to all members, who cut their connections to PEER and let it in no more. An invite that it
came by ends with it. What PEER published before stays.

The home must hold the founder key, or be that of the delegate who admitted PEER. If the node does not run, members hear of it once it does.`,
		Example: "  mlecs revoke kitchen --reason sold\n  mlecs revoke 12D3KooWJEdZXZyK",
		Args:    oneArg("peer"),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := f.open()
			if err != nil {
				return err
			}
			m, err := h.Revoke(cmd.Context(), api.RevokeRequest{Peer: args[0], Reason: reason})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), m)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Revoked %s %s %s.\n", m.Role, dash(m.Name), m.PeerID)
			return nil
		},
	}
	f.registerInspecting(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why; all members can read it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

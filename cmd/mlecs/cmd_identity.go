package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newIdentityCommand() *cobra.Command {
	return newGroupCommand("identity", "Change the key that a node is known by", newIdentityRotateCommand())
}

func newIdentityRotateCommand() *cobra.Command {
	var f homeFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Give a node a new key, and keep its membership and what it learned",
		Long: `Gives the node a new key, and with it a new peer id. Both keys sign that the new one takes the old one's place, with the same name and role, until
the same day. From then on the old one is no member, and is destroyed. What the node learned, its rows and its records stay.

A running node tells the members in reach and starts again by itself; this is the better way for a super-peer, since members that knew only the
old peer id follow the new one. Members hear of a stopped node when it starts.

A membership can be handed on four times before it is renewed (mlecs renew), and whoever may renew it should: a renewed one rests on no old key.
If a key was stolen, and the thief was faster, the node is no member: have the founder revoke it, and join anew. See docs/security.md.`,
		Example: "  mlecs identity rotate\n  mlecs identity rotate --node edge-1 --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := f.open()
			if err != nil {
				return err
			}
			r, err := h.RotateIdentity(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "This node is %s, a member until %s.\nIt was %s.\n", r.New, dateText(r.Expires), r.Old)
			return nil
		},
	}
	f.registerInspecting(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

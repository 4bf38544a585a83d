package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

type inviteOptions struct {
	homeFlags
	role      string
	delegate  bool
	expires   time.Duration
	bootstrap []string
	json      bool
}

func newInviteCommand() *cobra.Command {
	o := &inviteOptions{}
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Print a token that admits one node",
		Long: `Prints one token for one node: the federation's id, addresses to connect to, and a certificate. The token is a secret until it is
used: whoever holds it can join. The home must hold the founder key, or be that of a delegate: a super-peer that was invited with
--delegate, which may itself invite, renew and revoke, but appoint no delegates. What a delegate admits ends with the delegate.`,
		Example: `  mlecs invite --role edge --expires 720h
  mlecs invite --role super --delegate`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runInvite(cmd, o) },
	}
	o.registerInspecting(cmd)
	cmd.Flags().StringVar(&o.role, "role", string(record.RoleEdge), "edge or super")
	cmd.Flags().BoolVar(&o.delegate, "delegate", false, "the super-peer may itself invite, renew and revoke members")
	cmd.Flags().DurationVar(&o.expires, "expires", 365*24*time.Hour, "how long the token can be used and the membership lasts")
	cmd.Flags().StringSliceVar(&o.bootstrap, "bootstrap", nil, "multiaddrs with /p2p/PEER-ID to connect to (default: this node's own)")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func runInvite(cmd *cobra.Command, o *inviteOptions) error {
	if o.role != string(record.RoleEdge) && o.role != string(record.RoleSuper) {
		return usageError{fmt.Errorf("--role %q: use edge or super", o.role)}
	}
	if o.delegate && o.role != string(record.RoleSuper) {
		return usageError{errors.New("--delegate goes with --role super")}
	}
	if o.expires < time.Second {
		return usageError{fmt.Errorf("--expires %s: it must be at least a second, such as 720h", o.expires)}
	}
	h, err := o.open()
	if err != nil {
		return err
	}
	token, err := h.Invite(cmd.Context(), api.InviteRequest{
		Role: o.role, Delegate: o.delegate, Seconds: int64(o.expires / time.Second), Bootstrap: o.bootstrap,
	})
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), map[string]string{"token": token, "role": o.role})
	}
	fmt.Fprintln(cmd.OutOrStdout(), token)
	return nil
}

package main

import (
	"context"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newMembersCommand() *cobra.Command {
	i := &inspection[[]api.Member]{
		ask:  func(ctx context.Context, s api.Source) ([]api.Member, error) { return s.Members(ctx) },
		show: showMembers,
	}
	return i.command(&cobra.Command{
		Use: "members", Short: "List all members, present and past, and unused invites",
		Long: `Lists everybody who was ever certified, as this node knows it. States are connected, away, invited (nobody has used the invite yet),
expired, revoked and rotated (the old id of a member that has a new key). A star marks a delegate, who may invite, renew and revoke.`,
		Example: "  mlecs members\n  mlecs members --json --node edge-1",
	})
}

func showMembers(p *page, members []api.Member) {
	var rows []table.Row
	for _, m := range members {
		role := m.Role
		if m.Delegate {
			role += "*"
		}
		state := m.State
		if m.Self {
			state += " (this node)"
		}
		rows = append(rows, table.Row{dash(m.Name), role, short(m.PeerID), state, dateText(m.Since), dateText(m.Expires), ago(1000 * m.LastSeen)})
	}
	p.list(table.Row{"name", "role", "peer id", "state", "since", "ends", "last seen"}, rows, nil, "This node is in no federation.")
}

package main

import (
	"context"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newPeersCommand() *cobra.Command {
	i := &inspection[[]api.Peer]{
		ask:  func(ctx context.Context, s api.Source) ([]api.Peer, error) { return s.Peers(ctx) },
		show: showPeers,
	}
	return i.command(&cobra.Command{Use: "peers", Short: "List connected peers and the other members"})
}

func showPeers(p *page, peers []api.Peer) {
	var rows []table.Row
	for _, x := range peers {
		state, rtt := "away", "-"
		if x.Connected {
			state = "connected"
			if x.RTTMillis > 0 {
				rtt = fmt.Sprintf("%.1f ms", x.RTTMillis)
			}
		}
		if x.Gray {
			state += ", graylisted"
		}
		if x.Disputed > 0 {
			state += fmt.Sprintf(", %d disputed aggregates", x.Disputed)
		}
		rows = append(rows, table.Row{dash(x.Name), dash(x.Role), short(x.PeerID), state, rtt, bytesText(x.Sent), bytesText(x.Received), dateText(x.Expires), dash(x.Addr)})
	}
	p.list(table.Row{"name", "role", "peer id", "state", "round trip", "sent", "received", "certificate ends", "address"}, rows, []int{5, 6, 7},
		"No other members are known.")
}

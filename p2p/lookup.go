package p2p

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/mlecs/mlecs/storage/record"
)

const (
	lookupFirst   = 2 * time.Second  // after the start
	lookupEvery   = 15 * time.Second // while members are missing
	lookupAtOnce  = 4
	lookupTimeout = 10 * time.Second

	// lookupPrefix begins the DHT's protocol, /mlecs/kad/1.0.0. It does not name the federation, since identify tells it to strangers;
	// that nobody else's nodes are in the table is the gate's doing.
	lookupPrefix protocol.ID = "/mlecs"
)

// lookup is the federation's Kademlia DHT: super-peers answer, all members ask. It is used for one thing, the addresses of members, and
// stores nothing but what connections tell.
type lookup struct{ table *dht.IpfsDHT }

func startLookup(n *Network) (*lookup, error) {
	mode := dht.ModeClient
	if n.role == record.RoleSuper {
		mode = dht.ModeServer
	}
	table, err := dht.New(dialingHost{n.gated, n}, dht.Mode(mode), dht.ProtocolPrefix(lookupPrefix), dht.DisableProviders(), dht.DisableValues())
	if err != nil {
		return nil, fmt.Errorf("start DHT: %w", err)
	}
	return &lookup{table}, nil
}

func (l *lookup) close() { l.table.Close() }

// find asks for the addresses of a member.
func (l *lookup) find(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	info, err := l.table.FindPeer(ctx, p)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("look up %s: %w", p, err)
	}
	return info, nil
}

// lookupLoop looks up some of the members that are not connected, as long as fewer are than wanted.
func (n *Network) lookupLoop(ctx context.Context) error {
	timer := time.NewTimer(lookupFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			timer.Reset(lookupEvery)
		}
		if n.lookup.table.RoutingTable().Size() == 0 || len(n.inReach()) >= n.limits.Members {
			continue
		}
		for _, p := range n.missing(lookupAtOnce) {
			info, err := n.lookup.find(ctx, p)
			if err != nil {
				n.log.Debug("member not found", "peer", p, "err", err)
				continue
			}
			n.contacts.found(info)
		}
	}
}

// missing are some members that are not connected, super-peers first.
func (n *Network) missing(limit int) []peer.ID {
	var supers, edges []peer.ID
	for _, c := range n.roster.members() {
		switch p := c.body.Subject; {
		case p == n.id || n.gate.mutual(p):
		case c.body.Role == record.RoleSuper:
			supers = append(supers, p)
		default:
			edges = append(edges, p)
		}
	}
	for _, ids := range [][]peer.ID{supers, edges} {
		rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	}
	all := append(supers, edges...)
	return all[:min(len(all), limit)]
}

// dialingHost is the gated host with leave to dial members: a lookup goes from one to the next.
type dialingHost struct {
	*gatedHost
	n *Network
}

func (h dialingHost) Connect(ctx context.Context, info peer.AddrInfo) error {
	if h.gate.mutual(info.ID) {
		return nil
	}
	if _, err := h.n.roster.member(info.ID); err != nil {
		return fmt.Errorf("connect %s: %w", info.ID, err)
	}
	if err := h.Host.Connect(network.WithForceDirectDial(ctx, "lookup"), info); err != nil {
		return err
	}
	return h.gate.await(ctx, info.ID)
}

func (h dialingHost) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	if err := h.Connect(ctx, peer.AddrInfo{ID: p}); err != nil {
		return nil, err
	}
	return h.gatedHost.NewStream(ctx, p, ids...)
}

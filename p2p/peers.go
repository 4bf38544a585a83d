package p2p

import (
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

// Member is one certificate holder.
type Member struct {
	ID          peer.ID
	Name        string
	Role        record.Role
	Expires     time.Time
	Certificate cid.Cid
	Gray        bool // not listened to, because of what it did wrong
	Aside       bool // a super-peer that leaves rounds to others, as far as known
	Connected   bool // and both sides have proved membership; this node itself counts as connected
}

// Peer is one connected peer.
type Peer struct {
	ID       peer.ID
	Name     string
	Role     record.Role // empty until membership is proved
	Addr     string      // multiaddr of the remote end
	Since    time.Time
	RTT      time.Duration // last measured; 0 before
	Sent     int64         // bytes
	Received int64
	InMesh   bool    // it and this node forward gossip to each other
	Faults   float64 // cost of what it has done wrong and is not forgotten
	Gray     bool    // on the gray list for that: not listened to
}

// Member tells role and expiry of a member known by certificate; ok is false for strangers, the expired and the revoked.
func (n *Network) Member(p peer.ID) (m Member, ok bool) {
	c, err := n.roster.member(p)
	if err != nil {
		return Member{}, false
	}
	return n.asMember(c), true
}

// Members are all with a valid certificate, connected or not, by name and id.
func (n *Network) Members() []Member {
	certs := n.roster.members()
	members := make([]Member, 0, len(certs))
	for _, c := range certs {
		members = append(members, n.asMember(c))
	}
	slices.SortStableFunc(members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return members
}

func (n *Network) asMember(c *certificate) Member {
	return Member{
		ID:          c.body.Subject,
		Name:        c.body.Name,
		Role:        c.body.Role,
		Expires:     c.expires(),
		Certificate: c.signed.CID,
		Gray:        n.conduct.isGray(c.body.Subject),
		Aside:       n.isAside(c),
		Connected:   c.body.Subject == n.id || n.gate.mutual(c.body.Subject),
	}
}

// Peers are all peers connected, including those that have not proved membership yet, by name and id.
func (n *Network) Peers() []Peer {
	var mesh []peer.ID
	if g := n.gossip.Load(); g != nil {
		mesh = g.mesh()
	}
	var peers []Peer
	for p, a := range n.gate.snapshot() {
		conns := n.host.Network().ConnsToPeer(p)
		if len(conns) == 0 {
			continue
		}
		bytes := n.meter.GetBandwidthForPeer(p)
		info := Peer{
			ID:       p,
			Addr:     oldest(conns).RemoteMultiaddr().String(),
			Since:    a.since,
			RTT:      a.rtt,
			Sent:     bytes.TotalOut,
			Received: bytes.TotalIn,
			InMesh:   slices.Contains(mesh, p),
			Faults:   n.conduct.cost(p),
			Gray:     n.conduct.isGray(p),
		}
		if a.mutual {
			info.Name, info.Role = n.describe(p)
		}
		peers = append(peers, info)
	}
	slices.SortFunc(peers, func(a, b Peer) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
	return peers
}

func (n *Network) describe(p peer.ID) (name string, role record.Role) {
	c, err := n.roster.member(p)
	if err != nil {
		return "", ""
	}
	return c.body.Name, c.body.Role
}

// members in reach, in order of peer id.
func (n *Network) inReach() []peer.ID {
	var ids []peer.ID
	for p, a := range n.gate.snapshot() {
		if a.mutual {
			ids = append(ids, p)
		}
	}
	slices.Sort(ids)
	return ids
}

func oldest(conns []network.Conn) network.Conn {
	return slices.MinFunc(conns, func(a, b network.Conn) int { return a.Stat().Opened.Compare(b.Stat().Opened) })
}

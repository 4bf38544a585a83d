package p2p

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Block keeps p from connecting to this node, and disconnects it, until Unblock or the end of the process. It is this node's own
// decision and told to nobody; to end a membership everywhere, see Revoke.
func (n *Network) Block(p peer.ID) {
	n.blocked.set(p, true)
	n.host.Network().ClosePeer(p)
}

// Unblock lets p connect again.
func (n *Network) Unblock(p peer.ID) { n.blocked.set(p, false) }

// blocklist is asked by libp2p about every connection.
type blocklist struct {
	mu    sync.Mutex
	peers map[peer.ID]struct{}
}

var _ connmgr.ConnectionGater = (*blocklist)(nil)

func newBlocklist() *blocklist { return &blocklist{peers: make(map[peer.ID]struct{})} }

func (b *blocklist) set(p peer.ID, blocked bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if blocked {
		b.peers[p] = struct{}{}
	} else {
		delete(b.peers, p)
	}
}

func (b *blocklist) allows(p peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, blocked := b.peers[p]
	return !blocked
}

// InterceptPeerDial and the methods below are libp2p's questions, asked as a connection proceeds.
func (b *blocklist) InterceptPeerDial(p peer.ID) bool { return b.allows(p) }

// InterceptAddrDial does not look at addresses.
func (b *blocklist) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept comes before the peer is known.
func (b *blocklist) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured comes once the peer has proved its id.
func (b *blocklist) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return b.allows(p)
}

// InterceptUpgraded comes last; Block may have come meanwhile.
func (b *blocklist) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	return b.allows(c.RemotePeer()), 0
}

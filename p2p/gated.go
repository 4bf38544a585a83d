package p2p

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
)

// gatedHost is the host as GossipSub, blob transfer and sync see it: a world of members. GossipSub greets every identified peer with
// its list of topics, so filters on topics come too late; here a stranger does not exist. Peers are announced on an event bus of its
// own once their membership is proved both ways, and streams of all others are reset.
type gatedHost struct {
	host.Host
	gate *gate
	net  gatedNetwork
	bus  event.Bus

	noisy func(peer.ID) // told of every stream of gossip beyond spareStreams that a peer opens; nil: nobody

	identified event.Emitter // of EvtPeerIdentificationCompleted
}

func newGatedHost(h host.Host, g *gate) (*gatedHost, error) {
	bus := eventbus.NewBus()
	identified, err := bus.Emitter(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return nil, fmt.Errorf("event bus for gossip: %w", err)
	}
	return &gatedHost{Host: h, gate: g, net: gatedNetwork{h.Network(), g}, bus: bus, identified: identified}, nil
}

// announce makes a member visible: GossipSub takes it for a peer that was just identified and speaks protos.
func (h *gatedHost) announce(p peer.ID, protos []protocol.ID) error {
	return h.identified.Emit(event.EvtPeerIdentificationCompleted{Peer: p, Protocols: protos})
}

func (h *gatedHost) Network() network.Network { return h.net }
func (h *gatedHost) EventBus() event.Bus      { return h.bus }

func (h *gatedHost) SetStreamHandler(id protocol.ID, f network.StreamHandler) {
	h.Host.SetStreamHandler(id, h.gate.guard(h.counted(id, f)))
}

func (h *gatedHost) SetStreamHandlerMatch(id protocol.ID, match func(protocol.ID) bool, f network.StreamHandler) {
	h.Host.SetStreamHandlerMatch(id, match, h.gate.guard(h.counted(id, f)))
}

// spareStreams are streams of gossip that a peer may open on a connection. One is enough; GossipSub opens another when one has failed.
const spareStreams = 8

// counted watches for peers whose streams of gossip end again and again. GossipSub ends a stream on which a message is too large, and
// tells nobody.
func (h *gatedHost) counted(id protocol.ID, f network.StreamHandler) network.StreamHandler {
	if !strings.HasPrefix(string(id), "/meshsub/") && !strings.HasPrefix(string(id), "/floodsub/") {
		return f
	}
	return func(s network.Stream) {
		p := s.Conn().RemotePeer()
		if h.gate.gossips(p) > spareStreams && h.noisy != nil {
			h.noisy(p)
		}
		f(s)
	}
}

func (h *gatedHost) Connect(ctx context.Context, info peer.AddrInfo) error {
	if !h.gate.mutual(info.ID) {
		return fmt.Errorf("connect %s: not a proved member", info.ID)
	}
	return nil
}

func (h *gatedHost) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	if !h.gate.mutual(p) {
		return nil, fmt.Errorf("open %v stream to %s: not a proved member", ids, p)
	}
	return h.Host.NewStream(network.WithNoDial(ctx, "members only"), p, ids...)
}

// gatedNetwork hides the connections of strangers.
type gatedNetwork struct {
	network.Network
	gate *gate
}

func (n gatedNetwork) Peers() []peer.ID {
	return slices.DeleteFunc(n.Network.Peers(), func(p peer.ID) bool { return !n.gate.mutual(p) })
}

func (n gatedNetwork) Conns() []network.Conn {
	return slices.DeleteFunc(n.Network.Conns(), func(c network.Conn) bool { return !n.gate.mutual(c.RemotePeer()) })
}

func (n gatedNetwork) ConnsToPeer(p peer.ID) []network.Conn {
	if !n.gate.mutual(p) {
		return nil
	}
	return n.Network.ConnsToPeer(p)
}

func (n gatedNetwork) Connectedness(p peer.ID) network.Connectedness {
	if !n.gate.mutual(p) {
		return network.NotConnected
	}
	return n.Network.Connectedness(p)
}

package p2p

import (
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/autonatv2"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
)

// forStrangers are the protocols that a peer may open before it has proved membership: what proving takes, and two that come before
// it can be proved and tell nothing that identify does not. Hole punching begins as soon as a relayed connection stands, which is
// between members only; the handler refuses it on others. AutoNAT dials back from a peer id made for the purpose; the stream carries
// the number that this node has chosen, and has no answer.
var forStrangers = []protocol.ID{identify.ID, identify.IDPush, helloProtocol, holepunch.Protocol, autonatv2.DialBackProtocol}

// gatedResources keep strangers from all else, also from what libp2p itself serves (ping, AutoNAT, relays): a stream that is not for them is
// reset as soon as its protocol is known, before any handler sees it.
type gatedResources struct {
	network.ResourceManager
	gate *gate
}

func (r *gatedResources) OpenStream(p peer.ID, dir network.Direction) (network.StreamManagementScope, error) {
	scope, err := r.ResourceManager.OpenStream(p, dir)
	if err != nil || dir != network.DirInbound {
		return scope, err
	}
	return &gatedScope{scope, r.gate, p}, nil
}

type gatedScope struct {
	network.StreamManagementScope
	gate *gate
	peer peer.ID
}

func (s *gatedScope) SetProtocol(id protocol.ID) error {
	if !s.gate.proved(s.peer) && !slices.Contains(forStrangers, id) {
		return fmt.Errorf("%s is for members, and %s has not proved to be one", id, s.peer)
	}
	return s.StreamManagementScope.SetProtocol(id)
}

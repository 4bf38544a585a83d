package p2p

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

// mdnsService names the federation on the LAN without giving its CID away. DNS-SD allows 15 characters (RFC 6763, section 7.2).
func mdnsService(federation cid.Cid) string {
	sum := sha256.Sum256(append([]byte("mlecs mdns "), federation.Bytes()...))
	return "_mlecs-" + hex.EncodeToString(sum[:4]) + "._udp"
}

// serveMDNS announces this node on the LAN and finds others of its federation. A machine without multicast is no reason to fail.
func (n *Network) serveMDNS(ctx context.Context) error {
	service := mdns.NewMdnsService(n.host, mdnsService(n.federation), finder{n.contacts})
	if err := service.Start(); err != nil {
		n.log.Warn("mDNS is not available; other nodes must be given as p2p.bootstrap", "err", err)
	}
	<-ctx.Done()
	service.Close()
	return ctx.Err()
}

type finder struct{ contacts *contacts }

// HandlePeerFound takes what mDNS has found; the name is libp2p's.
func (f finder) HandlePeerFound(info peer.AddrInfo) { f.contacts.found(info) }

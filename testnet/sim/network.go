package sim

import (
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/marcopolo/simnet"
	"github.com/quic-go/quic-go"
	"go.uber.org/fx"
)

const simPort = 4001

// wire is the simulated network. Each node has one public IPv4 address.
type wire struct {
	net  *simnet.Simnet
	link simnet.NodeBiDiLinkSettings
}

func newWire(latency time.Duration, bitsPerSecond int) *wire {
	link := simnet.LinkSettings{BitsPerSecond: bitsPerSecond}
	return &wire{
		net:  &simnet.Simnet{LatencyFunc: simnet.StaticLatency(latency), Logger: slog.New(slog.DiscardHandler)},
		link: simnet.NodeBiDiLinkSettings{Uplink: link, Downlink: link},
	}
}

func (w *wire) addr(i int) string {
	return fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", simnet.IntToPublicIPv4(i), simPort)
}

// port is a node's plug in the wire.
type port struct {
	ip   atomic.Pointer[net.IP]
	conn atomic.Pointer[simnet.SimConn]
}

// sent counts the bytes of all packets that left the node, UDP's and IP's headers aside.
func (p *port) sent() int64 {
	if c := p.conn.Load(); c != nil {
		return int64(c.Stats().BytesSent)
	}
	return 0
}

// received is the same of packets that reached the node.
func (p *port) received() int64 {
	if c := p.conn.Load(); c != nil {
		return int64(c.Stats().BytesRcvd)
	}
	return 0
}

// PreferredSourceIPForDestination answers for QUIC from which address packets go; the name is libp2p's.
func (p *port) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return *p.ip.Load(), nil
}

// options make a libp2p host send its QUIC packets through w. Finding out observed addresses makes no sense where no router is, and keeps
// virtual time from moving.
func (w *wire) options(p *port) []libp2p.Option {
	listen := func(_ string, addr *net.UDPAddr) (net.PacketConn, error) {
		c := w.net.NewEndpoint(addr, w.link)
		p.ip.Store(&addr.IP)
		p.conn.Store(c)
		return c, nil
	}
	connections := func(life fx.Lifecycle, reset quic.StatelessResetKey, token quic.TokenGeneratorKey, opts ...quicreuse.Option) (*quicreuse.ConnManager, error) {
		m, err := quicreuse.NewConnManager(reset, token, opts...)
		if err != nil {
			return nil, err
		}
		life.Append(fx.StopHook(m.Close)) // libp2p closes only a manager that it has made itself
		return m, nil
	}
	return []libp2p.Option{
		libp2p.QUICReuse(connections,
			quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return p, nil }),
			quicreuse.OverrideListenUDP(listen)),
		libp2p.DisableIdentifyAddressDiscovery(),
	}
}

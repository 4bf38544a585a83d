package p2p

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	connmanager "github.com/libp2p/go-libp2p/p2p/net/connmgr"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
)

// Limits of a small node. A federation of some dozen members stays far below; they bound what strangers and faulty members can tie up.
const (
	connsLow       = 96  // connections are trimmed down to this
	connsHigh      = 160 // ... when there are more than this
	connsGrace     = time.Minute
	hostMemory     = 256 << 20 // bytes the resource manager scales its limits to
	hostFiles      = 512       // file descriptors, likewise
	connsPerSubnet = 64        // at a time from one IP address: a household or a lab behind one router
	connsPerSecond = 2         // new ones from one IP address, loopback excepted
	connsBurst     = 128       // ... after a pause
	memberTag      = "member"  // protects members' connections from trimming
	agent          = "mlecs"   // told to every peer, before membership is proved: no version, no federation
)

// newHost opens a libp2p host that listens. The options name every transport, since libp2p's defaults include browser ones.
func newHost(key crypto.PrivKey, listen, announce []ma.Multiaddr, meter metrics.Reporter, gater connmgr.ConnectionGater, registry prometheus.Registerer) (host.Host, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	subnets := func(bits int) []rcmgr.ConnLimitPerSubnet {
		return []rcmgr.ConnLimitPerSubnet{{PrefixLength: bits, ConnCount: connsPerSubnet}}
	}
	rates := func(bits int) []rate.SubnetLimit {
		return []rate.SubnetLimit{{PrefixLength: bits, Limit: rate.Limit{RPS: connsPerSecond, Burst: connsBurst}}}
	}
	manager, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Scale(hostMemory, hostFiles)),
		rcmgr.WithLimitPerSubnet(subnets(32), subnets(64)),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: []rate.PrefixLimit{
				{Prefix: netip.MustParsePrefix("127.0.0.0/8")},
				{Prefix: netip.MustParsePrefix("::1/128")},
			},
			SubnetRateLimiter: rate.SubnetLimiter{IPv4SubnetLimits: rates(32), IPv6SubnetLimits: rates(64), GracePeriod: time.Minute},
		}),
		rcmgr.WithMetricsDisabled())
	if err != nil {
		return nil, fmt.Errorf("resource manager: %w", err)
	}
	conns, err := connmanager.NewConnManager(connsLow, connsHigh, connmanager.WithGracePeriod(connsGrace))
	if err != nil {
		manager.Close()
		return nil, fmt.Errorf("connection manager: %w", err)
	}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.ListenAddrs(listen...),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(quic.NewTransport),
		libp2p.DefaultSecurity,
		libp2p.DefaultMuxers,
		libp2p.ResourceManager(manager),
		libp2p.ConnectionManager(conns),
		libp2p.ConnectionGater(gater),
		libp2p.BandwidthReporter(meter),
		libp2p.UserAgent(agent),
		libp2p.DisableRelay(),
	}
	if registry != nil {
		options = append(options, libp2p.PrometheusRegisterer(registry))
	} else {
		options = append(options, libp2p.DisableMetrics())
	}
	if len(announce) > 0 {
		options = append(options, libp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return announce }))
	}
	h, err := libp2p.New(options...)
	if err != nil {
		manager.Close()
		return nil, fmt.Errorf("open libp2p host on %v: %w", listen, err)
	}
	return h, nil
}

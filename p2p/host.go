package p2p

import (
	"fmt"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	connmanager "github.com/libp2p/go-libp2p/p2p/net/connmgr"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
)

const agent = "mlecs" // told to every peer, before membership is proved: no version, no federation

// hostConfig is what a host is made of.
type hostConfig struct {
	key      crypto.PrivKey
	listen   []ma.Multiaddr
	announce []ma.Multiaddr
	limits   Limits
	reach    Config // relay, hole_punch, autonat and port_map of it
	gate     *gate
	gater    connmgr.ConnectionGater
	meter    metrics.Reporter
	registry prometheus.Registerer // nil: no metrics
	extra    []libp2p.Option
}

// newHost opens a libp2p host that listens. The options name every transport, since libp2p's defaults include browser ones.
func newHost(c hostConfig) (host.Host, error) {
	manager, err := c.limits.resourceManager()
	if err != nil {
		return nil, err
	}
	conns, err := connmanager.NewConnManager(c.limits.Connections*3/5, c.limits.Connections, connmanager.WithGracePeriod(connsGrace))
	if err != nil {
		manager.Close()
		return nil, fmt.Errorf("connection manager: %w", err)
	}
	options := []libp2p.Option{
		libp2p.Identity(c.key),
		libp2p.ListenAddrs(c.listen...),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(quic.NewTransport),
		libp2p.DefaultSecurity,
		libp2p.DefaultMuxers,
		libp2p.ResourceManager(&gatedResources{manager, c.gate}),
		libp2p.ConnectionManager(conns),
		libp2p.ConnectionGater(c.gater),
		libp2p.BandwidthReporter(c.meter),
		libp2p.UserAgent(agent),
	}
	options = append(options, c.reach.hostOptions()...)
	if c.registry != nil {
		options = append(options, libp2p.PrometheusRegisterer(c.registry))
	} else {
		options = append(options, libp2p.DisableMetrics())
	}
	if len(c.announce) > 0 {
		options = append(options, libp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return c.announce }))
	}
	h, err := libp2p.New(append(options, c.extra...)...)
	if err != nil {
		manager.Close()
		return nil, fmt.Errorf("open libp2p host on %v: %w", c.listen, err)
	}
	return h, nil
}

// hostOptions are the parts of libp2p that help a node behind a router.
func (c Config) hostOptions() []libp2p.Option {
	var options []libp2p.Option
	if !c.Relay {
		options = append(options, libp2p.DisableRelay())
	} else {
		options = append(options, libp2p.EnableRelay())
		if c.HolePunch {
			options = append(options, libp2p.EnableHolePunching())
		}
	}
	if c.AutoNAT {
		options = append(options, libp2p.EnableAutoNATv2())
	}
	if c.PortMap {
		options = append(options, libp2p.NATPortMap())
	}
	return options
}

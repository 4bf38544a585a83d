package p2p

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"

	"github.com/mlecs/mlecs/storage/record"
)

// Limits bound what the network part of a node takes of its machine, and what strangers and faulty members can tie up. A number of 0 is
// the preset's.
type Limits struct {
	Preset      string `yaml:"preset"`      // edge, super or local; empty: as the node's role
	Members     int    `yaml:"members"`     // dial further members while fewer are connected
	Connections int    `yaml:"connections"` // beyond so many, peers that are no members are let go; a fifth more is never exceeded
	PerAddress  int    `yaml:"per_address"` // connections at a time from one IP address
	Memory      int    `yaml:"memory_mib"`  // of buffers of connections and streams
	Files       int    `yaml:"files"`       // file descriptors of connections
	Relayed     int    `yaml:"relayed"`     // of a super-peer: members that keep a place here to be reached
}

// presets: local is for many nodes on one machine, which share one IP address.
var presets = map[string]Limits{
	"edge":  {Preset: "edge", Members: 16, Connections: 160, PerAddress: 64, Memory: 256, Files: 512, Relayed: 64},
	"super": {Preset: "super", Members: 32, Connections: 1024, PerAddress: 256, Memory: 1024, Files: 4096, Relayed: 512},
	"local": {Preset: "local", Members: 16, Connections: 160, PerAddress: 4096, Memory: 128, Files: 512, Relayed: 64},
}

const (
	connsGrace     = time.Minute
	connsPerSecond = 2        // new ones from one IP address, loopback excepted
	connsBurst     = 128      // ... after a pause
	streamsPerConn = 32       // on average, over all connections
	memberTag      = "member" // protects members' connections from trimming
)

func (l Limits) validate() error {
	if _, ok := presets[l.Preset]; l.Preset != "" && !ok {
		return fmt.Errorf("p2p.limits.preset: %q is none; use edge, super or local, or leave it empty to go by the node's role", l.Preset)
	}
	if min(l.Members, l.Connections, l.PerAddress, l.Memory, l.Files, l.Relayed) < 0 {
		return errors.New("p2p.limits: no number may be below 0; 0 is the preset's")
	}
	if l.Memory > 1<<20 || max(l.Members, l.Connections, l.PerAddress, l.Files, l.Relayed) > 1<<20 {
		return errors.New("p2p.limits: a number is above 1048576")
	}
	return nil
}

// of fills in what is 0, for a node with a role.
func (l Limits) of(role record.Role) Limits {
	name := l.Preset
	if name == "" {
		name = string(role)
	}
	p, ok := presets[name]
	if !ok {
		p = presets["edge"]
	}
	fill := func(v *int, preset int) {
		if *v == 0 {
			*v = preset
		}
	}
	l.Preset = p.Preset
	fill(&l.Members, p.Members)
	fill(&l.Connections, p.Connections)
	fill(&l.PerAddress, p.PerAddress)
	fill(&l.Memory, p.Memory)
	fill(&l.Files, p.Files)
	fill(&l.Relayed, p.Relayed)
	return l
}

// String lists the values in force, for the log.
func (l Limits) String() string {
	return fmt.Sprintf("%s: members %d, connections %d, per address %d, memory %d MiB, files %d, relayed %d",
		l.Preset, l.Members, l.Connections, l.PerAddress, l.Memory, l.Files, l.Relayed)
}

// resourceManager keeps to l.
func (l Limits) resourceManager() (network.ResourceManager, error) {
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	conns := rcmgr.LimitVal(l.Connections + l.Connections/5)
	own := rcmgr.PartialLimitConfig{System: rcmgr.ResourceLimits{
		Conns: conns, ConnsInbound: conns, ConnsOutbound: conns,
		Streams: conns * streamsPerConn, StreamsInbound: conns * streamsPerConn, StreamsOutbound: conns * streamsPerConn,
	}}
	limits := own.Build(scaling.Scale(int64(l.Memory)<<20, l.Files))
	perAddress := func(bits int) []rcmgr.ConnLimitPerSubnet {
		return []rcmgr.ConnLimitPerSubnet{{PrefixLength: bits, ConnCount: l.PerAddress}}
	}
	rates := func(bits int) []rate.SubnetLimit {
		return []rate.SubnetLimit{{PrefixLength: bits, Limit: rate.Limit{RPS: connsPerSecond, Burst: max(connsBurst, l.PerAddress)}}}
	}
	manager, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits),
		rcmgr.WithLimitPerSubnet(perAddress(32), perAddress(64)),
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
	return manager, nil
}

// Presets are the limits that p2p.limits.preset names, by name.
func Presets() []Limits {
	list := make([]Limits, 0, len(presets))
	for _, p := range presets {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Limits) int { return strings.Compare(a.Preset, b.Preset) })
	return list
}

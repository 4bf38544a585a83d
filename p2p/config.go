package p2p

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Config is the network part of a node's config.
type Config struct {
	Listen    []string `yaml:"listen"`     // multiaddrs; default /ip4/0.0.0.0/tcp/0 and .../udp/0/quic-v1
	Announce  []string `yaml:"announce"`   // multiaddrs told to others in place of the observed ones
	Bootstrap []string `yaml:"bootstrap"`  // multiaddrs with /p2p/ID, dialled at start and whenever peers are few
	MDNS      bool     `yaml:"mdns"`       // find members on the LAN
	DHT       bool     `yaml:"dht"`        // look members up at super-peers; as a super-peer, answer
	Relay     bool     `yaml:"relay"`      // keep places at super-peers to be reached through them; as a super-peer, give places
	HolePunch bool     `yaml:"hole_punch"` // turn relayed connections into direct ones; needs relay
	AutoNAT   bool     `yaml:"autonat"`    // let super-peers and others try whether this node's public addresses can be dialled
	PortMap   bool     `yaml:"port_map"`   // ask the router by UPnP or NAT-PMP to forward the ports
	Limits    Limits   `yaml:"limits"`     // of connections, memory and files
	Quota     Quota    `yaml:"quota"`      // what is taken of one author
}

// DefaultConfig suits a LAN and a home behind a router: any port on every interface, and all ways to find and reach others but
// opening ports in the router.
func DefaultConfig() Config {
	return Config{
		Listen:    []string{"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"},
		MDNS:      true,
		DHT:       true,
		Relay:     true,
		HolePunch: true,
		AutoNAT:   true,
		Quota:     Quota{}.withDefaults(),
	}
}

// Validate checks every address; its error names the key and the entry.
func (c Config) Validate() error {
	if err := c.Quota.validate(); err != nil {
		return err
	}
	if err := c.Limits.validate(); err != nil {
		return err
	}
	_, _, _, err := c.parse()
	return err
}

func (c Config) parse() (listen, announce []ma.Multiaddr, bootstrap []peer.AddrInfo, err error) {
	if len(c.Listen) == 0 && !c.Relay {
		return nil, nil, nil, errors.New("p2p.listen is empty: give at least one address, for example /ip4/0.0.0.0/tcp/4001, or set p2p.relay")
	}
	if listen, err = parseAddrs("p2p.listen", c.Listen); err != nil {
		return nil, nil, nil, err
	}
	if announce, err = parseAddrs("p2p.announce", c.Announce); err != nil {
		return nil, nil, nil, err
	}
	if bootstrap, err = parsePeers("p2p.bootstrap", c.Bootstrap); err != nil {
		return nil, nil, nil, err
	}
	return listen, announce, bootstrap, nil
}

// parseAddrs reads addresses of this node: a transport without a peer id.
func parseAddrs(key string, texts []string) ([]ma.Multiaddr, error) {
	addrs := make([]ma.Multiaddr, 0, len(texts))
	for i, text := range texts {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %q is no multiaddr: %w", key, i, text, err)
		}
		if _, err := a.ValueForProtocol(ma.P_P2P); err == nil {
			return nil, fmt.Errorf("%s[%d]: %q: leave out the /p2p part, it is this node's own id", key, i, text)
		}
		if err := checkTransport(a); err != nil {
			return nil, fmt.Errorf("%s[%d]: %q: %w", key, i, text, err)
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

// parsePeers reads addresses of other nodes, which end in /p2p/ID; those of one peer are joined, in the order of first mention.
func parsePeers(key string, texts []string) ([]peer.AddrInfo, error) {
	var infos []peer.AddrInfo
	index := make(map[peer.ID]int)
	for i, text := range texts {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %q is no multiaddr: %w", key, i, text, err)
		}
		info, err := peer.AddrInfoFromP2pAddr(a)
		if err != nil || len(info.Addrs) == 0 {
			return nil, fmt.Errorf("%s[%d]: %q: want an address that ends in /p2p/PEER-ID, as `mlecs status` prints it on the other node", key, i, text)
		}
		if err := checkTransport(info.Addrs[0]); err != nil {
			return nil, fmt.Errorf("%s[%d]: %q: %w", key, i, text, err)
		}
		at, known := index[info.ID]
		if !known {
			at = len(infos)
			index[info.ID] = at
			infos = append(infos, peer.AddrInfo{ID: info.ID})
		}
		infos[at].Addrs = append(infos[at].Addrs, info.Addrs...)
	}
	return infos, nil
}

func checkTransport(a ma.Multiaddr) error {
	last := a[len(a)-1].Protocol().Code
	if len(a) == 2 && last == ma.P_TCP {
		return nil
	}
	if len(a) == 3 && a[1].Protocol().Code == ma.P_UDP && last == ma.P_QUIC_V1 {
		return nil
	}
	return errors.New("want /ip4|ip6|dns.../tcp/PORT or /.../udp/PORT/quic-v1")
}

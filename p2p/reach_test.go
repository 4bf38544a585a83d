package p2p_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

// reaching prepares a node that uses everything that helps to reach others.
func (f *federation) reaching(name string, role record.Role, bootstrap ...*node) *node {
	n := f.prepare(name, role, bootstrap...)
	n.cfg.DHT, n.cfg.Relay, n.cfg.HolePunch, n.cfg.AutoNAT = true, true, true, true
	return n
}

// Two edges that listen nowhere, as behind routers that let nothing in, have only the super-peer to meet at.
func TestEdgesReachEachOtherThroughASuperPeer(t *testing.T) {
	t.Parallel()
	f := found(t, "homes")
	super := f.reaching("super", record.RoleSuper)
	super.start()
	a, b := f.reaching("a", record.RoleEdge, super), f.reaching("b", record.RoleEdge, super)
	a.cfg.Listen, b.cfg.Listen = nil, nil
	a.start()
	b.start()
	a.awaitConnected(super, b)
	for _, pair := range [][2]*node{{a, b}, {b, a}} {
		for _, p := range pair[0].Peers() {
			if p.ID == pair[1].ID() && !strings.Contains(p.Addr, super.ID().String()+"/p2p-circuit") {
				t.Errorf("%s reaches %s at %s, want a circuit through the super-peer", pair[0].name, pair[1].name, p.Addr)
			}
		}
		eventually(t, pair[0].name+" knows its place", func() bool {
			places := pair[0].Reach().Places
			return len(places) == 1 && places[0] == "/p2p/"+super.ID().String()+"/p2p-circuit/p2p/"+pair[0].ID().String()
		})
	}
	content := []byte(strings.Repeat("tensor", 50_000))
	for _, pair := range [][2]*node{{a, b}, {b, a}} {
		from, to := pair[0], pair[1]
		blob := must[record.Blob](t)(from.store.PutBlobBytes(append(content, from.name...)))
		announced := from.delta(1, blob)
		if err := from.Publish(t.Context(), announced); err != nil {
			t.Fatal(err)
		}
		to.awaitRecord(announced)
		if err := to.FetchBlob(t.Context(), blob, nil, nil); err != nil {
			t.Errorf("%s fetches a blob of %s: %v", to.name, from.name, err)
		}
	}
	if super.store.HasBlob(record.BlobCID(append(content, 'a'))) {
		t.Error("the super-peer has taken a blob that it only carried")
	}
}

func TestPlaceIsFoundAgainAfterTheSuperPeerRestarts(t *testing.T) {
	t.Parallel()
	f := found(t, "homes")
	super := f.reaching("super", record.RoleSuper)
	super.start()
	addr, _, _ := strings.Cut(super.Addrs()[0], "/p2p/")
	super.cfg.Listen = []string{addr} // the same when it starts again
	a, b := f.reaching("a", record.RoleEdge, super), f.reaching("b", record.RoleEdge, super)
	a.cfg.Listen, b.cfg.Listen = nil, nil
	a.start()
	b.start()
	a.awaitConnected(b)
	super.stop()
	eventually(t, "a and b are apart without it", func() bool { return !a.connected(b) && !b.connected(a) })
	super.start()
	a.awaitConnected(super, b)
}

// c knows one address, that of a super-peer which does not know d.
func TestMemberIsFoundByLookup(t *testing.T) {
	t.Parallel()
	f := found(t, "homes")
	first := f.reaching("first", record.RoleSuper)
	first.open()
	second := f.reaching("second", record.RoleSuper, first)
	second.open()
	c, d := f.reaching("c", record.RoleEdge, first), f.reaching("d", record.RoleEdge, second)
	c.open()
	d.open()
	for _, n := range []*node{first, second, c, d} {
		n.WithoutIntroductions()
		n.serve()
	}
	d.awaitConnected(second)
	c.awaitConnected(first)
	eventually(t, "c looks d up", func() bool {
		info, err := c.Lookup(t.Context(), d.ID())
		return err == nil && len(info.Addrs) > 0
	})
	c.awaitConnected(second, d) // by the loop that looks for members who are missing
}

// A stranger gets nothing of what super-peers do for members: no place, no way through, no answer to a lookup, no dial back, no ping.
func TestStrangerIsNotHelped(t *testing.T) {
	t.Parallel()
	f := found(t, "homes")
	super := f.reaching("super", record.RoleSuper)
	super.start()
	edge := f.reaching("edge", record.RoleEdge, super)
	edge.cfg.Listen = nil
	edge.start()
	edge.awaitConnected(super)
	eventually(t, "the edge has a place", func() bool { return len(edge.Reach().Places) == 1 })

	stranger := func(name string) host.Host {
		h := must[host.Host](t)(libp2p.New(libp2p.Identity(keyOf(t, name)), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.EnableRelay(), libp2p.DisableMetrics()))
		t.Cleanup(func() { h.Close() })
		dial(t, h, super)
		return h
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	h := stranger("place")
	if _, err := client.Reserve(ctx, h, peer.AddrInfo{ID: super.ID()}); err == nil {
		t.Error("a stranger was given a place")
	}
	h = stranger("circuit")
	circuit := must[ma.Multiaddr](t)(ma.NewMultiaddr("/p2p/" + super.ID().String() + "/p2p-circuit"))
	if err := h.Connect(ctx, peer.AddrInfo{ID: edge.ID(), Addrs: []ma.Multiaddr{circuit}}); err == nil {
		t.Error("a stranger was let through to an edge")
	}
	h = stranger("lookup")
	table := must[*dht.IpfsDHT](t)(dht.New(h, dht.Mode(dht.ModeClient), dht.ProtocolPrefix("/mlecs"), dht.DisableProviders(), dht.DisableValues()))
	defer table.Close()
	brief, end := context.WithTimeout(ctx, 2*time.Second)
	defer end()
	if info, err := table.FindPeer(brief, edge.ID()); err == nil {
		t.Errorf("a stranger was told of an edge at %v", info.Addrs)
	}
	if n := table.RoutingTable().Size(); n > 0 {
		t.Errorf("a stranger has %d members in its table", n)
	}
	h = stranger("streams")
	for _, name := range []string{"/mlecs/kad/1.0.0", "/libp2p/circuit/relay/0.2.0/hop", "/libp2p/autonat/2/dial-request", "/ipfs/ping/1.0.0"} {
		s := open(t, h, super.ID(), name)
		s.Write(make([]byte, 32))
		silent(t, s)
	}
	if n := len(h.Network().ConnsToPeer(edge.ID())); n > 0 {
		t.Errorf("%d connections to the edge", n)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	f := found(t, "homes")
	n := f.prepare("super", record.RoleSuper)
	n.cfg.Limits = p2p.Limits{Connections: 5}
	n.start()
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"} {
		h := rawHost(t, keyOf(t, name))
		info := must[*peer.AddrInfo](t)(peer.AddrInfoFromString(n.Addrs()[0]))
		err := h.Connect(t.Context(), *info)
		if err != nil && len(n.Peers()) < 5 {
			t.Errorf("%s was turned away while %d were connected: %v", name, len(n.Peers()), err)
		}
		if len(n.Peers()) > 6 {
			t.Errorf("%d peers are connected, the limit is 5 and a fifth", len(n.Peers()))
		}
	}
}

package sim

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/mlecs/mlecs/storage/record"
)

// An aggregate's blob has to get from one node to all: it is announced by a record and fetched from whoever has it. The alternative is to put
// it into the gossiped message. Both run over links of the same latency and bandwidth, in virtual time, so that what they take is what hosts of
// their own would take, whatever else this machine does.
const (
	spreadHosts = 16
	spreadBytes = 8 << 20

	spreadPatience = 10 * time.Minute // virtual; whoever has to wait longer has lost it
)

// spread is what it took to bring spreadBytes from one host to all others.
type spread struct {
	bytes float64       // that a host received, packets and all, as a multiple of spreadBytes, on average
	took  time.Duration // until the last host had them
}

// BenchmarkSpread compares both ways; x/pubsub is the time to the last host by blob as a part of that by pubsub. The links are fast enough for
// pubsub to bring a message of that size to all; at 20 Mbit/s it does not.
func BenchmarkSpread(b *testing.B) {
	const bits = 100_000_000
	for b.Loop() {
		blob, inline := spreadByBlob(b, bits), spreadByPubSub(b, bits)
		b.ReportMetric(blob.bytes, "x-bytes/blob")
		b.ReportMetric(inline.bytes, "x-bytes/pubsub")
		b.ReportMetric(blob.took.Seconds(), "s/blob")
		b.ReportMetric(inline.took.Seconds(), "s/pubsub")
		b.ReportMetric(float64(blob.took)/float64(inline.took), "x/pubsub")
	}
}

func spreadOptions(bits int) Options {
	o := Defaults()
	o.Nodes, o.Members, o.Contacts, o.Bits = spreadHosts, spreadHosts-1, spreadHosts-1, bits
	return o
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func spreadByBlob(t testing.TB, bits int) (s spread) {
	dir, r := t.TempDir(), &Result{}
	never := func() error { return nil }
	err := inVirtualTime(func() error {
		return inWorld(never, spreadOptions(bits), dir, r, func(w *world) error {
			author := w.nodes[0]
			blob, err := author.store.PutBlobBytes(random(spreadBytes))
			if err != nil {
				return err
			}
			announcement, err := w.fed.delta(0, 1, 1, record.Component{Name: "lora", Signature: "s", Codec: "safetensors", Blob: blob})
			if err != nil {
				return err
			}
			var all errgroup.Group
			for _, n := range w.nodes[1:] {
				announced := make(chan struct{})
				cancel := n.net.Subscribe(func(r *record.Signed) {
					if r.CID == announcement.CID {
						close(announced)
					}
				})
				defer cancel()
				all.Go(func() error {
					<-announced
					ctx, cancel := context.WithTimeout(context.Background(), spreadPatience)
					defer cancel()
					return n.net.FetchBlob(ctx, blob, nil, nil)
				})
			}
			before, began := w.received(), time.Now()
			if err := author.net.Publish(context.Background(), announcement); err != nil {
				return err
			}
			err = all.Wait()
			s = spread{float64(w.received()-before) / (spreadHosts - 1) / spreadBytes, time.Since(began)}
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// received are the bytes that all nodes but the first have received.
func (w *world) received() (sum int64) {
	for _, n := range w.nodes[1:] {
		sum += n.port.received()
	}
	return sum
}

// spreadByPubSub sends the bytes in a message, over hosts that are connected in the same way.
func spreadByPubSub(t testing.TB, bits int) (s spread) {
	o := spreadOptions(bits)
	err := inVirtualTime(func() error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		wire := newWire(o.Latency, o.Bits)
		wire.net.Start()
		defer wire.net.Close()
		hosts, ports, topics := make([]host.Host, o.Nodes), make([]port, o.Nodes), make([]*pubsub.Topic, o.Nodes)
		var all errgroup.Group
		for i := range hosts {
			h, err := libp2p.New(append(wire.options(&ports[i]), libp2p.ListenAddrStrings(wire.addr(i)), libp2p.DisableRelay(), libp2p.DisableMetrics(),
				libp2p.ResourceManager(nil))...)
			if err != nil {
				return err
			}
			defer h.Close()
			ps, err := pubsub.NewGossipSub(ctx, h, pubsub.WithMaxMessageSize(2*spreadBytes))
			if err != nil {
				return err
			}
			topic, err := ps.Join("spread")
			if err != nil {
				return err
			}
			sub, err := topic.Subscribe()
			if err != nil {
				return err
			}
			hosts[i], topics[i] = h, topic
			if i > 0 {
				all.Go(func() error {
					ctx, cancel := context.WithTimeout(ctx, spreadPatience)
					defer cancel()
					_, err := sub.Next(ctx)
					return err
				})
			}
		}
		for i, h := range hosts {
			for _, other := range hosts[:i] {
				if err := h.Connect(ctx, peer.AddrInfo{ID: other.ID(), Addrs: other.Addrs()}); err != nil {
					return err
				}
			}
		}
		time.Sleep(meshTime)
		sum := func() (sum int64) {
			for i := range ports[1:] {
				sum += ports[i+1].received()
			}
			return sum
		}
		before, began := sum(), time.Now()
		if err := topics[0].Publish(ctx, random(spreadBytes)); err != nil {
			return err
		}
		err := all.Wait()
		s = spread{float64(sum()-before) / (spreadHosts - 1) / spreadBytes, time.Since(began)}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

package p2p_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/mlecs/mlecs/storage/record"
)

// An aggregate's blob has to get from one node to all. It is announced by a record and fetched; the alternative is to put it into the
// gossiped message.
const (
	spreadHosts = 16
	spreadBytes = 8 << 20

	overTCP  = "/ip4/127.0.0.1/tcp/0"
	overQUIC = "/ip4/127.0.0.1/udp/0/quic-v1"
)

// spread is what it took to bring spreadBytes from one host to all others.
type spread struct {
	bytes float64       // received by a host, as a multiple of spreadBytes, on average
	took  time.Duration // until the last host had them
}

func TestBlobCostsItsOwnBytesAtEveryReceiver(t *testing.T) {
	if s := spreadByBlob(t, overTCP, overQUIC); s.bytes > 1.05 {
		t.Errorf("a receiver takes %.3f times the blob's bytes, want at most 1.05", s.bytes)
	}
}

// BenchmarkSpread compares both ways in one run; x/pubsub is the time to the last host by blob, as a part of that by pubsub. Let TMPDIR be
// in memory: only one of the two writes to the disk.
func BenchmarkSpread(b *testing.B) {
	for name, listen := range map[string]string{"tcp": overTCP, "quic": overQUIC} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				blob, inline := spreadByBlob(b, listen), spreadByPubSub(b, listen)
				b.ReportMetric(blob.bytes, "x-bytes/blob")
				b.ReportMetric(inline.bytes, "x-bytes/pubsub")
				b.ReportMetric(float64(blob.took.Milliseconds()), "ms/blob")
				b.ReportMetric(float64(inline.took.Milliseconds()), "ms/pubsub")
				b.ReportMetric(float64(blob.took)/float64(inline.took), "x/pubsub")
			}
		})
	}
}

func spreadByBlob(t testing.TB, listen ...string) spread {
	f := found(t, "homes")
	var nodes []*node
	for i := range spreadHosts {
		n := f.prepare(fmt.Sprint("node-", i), record.RoleEdge, nodes[:min(i, 1)]...)
		n.cfg.Listen = listen
		n.start()
		nodes = append(nodes, n)
	}
	author := nodes[0]
	for i, n := range nodes {
		n.awaitConnected(nodes[i+1:]...)
	}
	content := make([]byte, spreadBytes)
	rand.Read(content)
	blob := must[record.Blob](t)(author.store.PutBlobBytes(content))
	var all errgroup.Group
	before := int64(0)
	for _, n := range nodes[1:] {
		before += n.Traffic().Received
		announced := make(chan struct{})
		cancel := n.Subscribe(func(r *record.Signed) {
			if r.Kind == record.KindDelta {
				close(announced)
			}
		})
		t.Cleanup(cancel)
		all.Go(func() error {
			<-announced
			return n.FetchBlob(context.Background(), blob, nil, nil)
		})
	}
	began := time.Now()
	if err := author.Publish(t.Context(), author.delta(1, blob)); err != nil {
		t.Fatal(err)
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	s := spread{took: time.Since(began)}
	after := int64(0)
	for _, n := range nodes[1:] {
		after += n.Traffic().Received
	}
	s.bytes = float64(after-before) / float64(spreadHosts-1) / spreadBytes
	for _, n := range nodes {
		n.stop()
	}
	return s
}

// spreadByPubSub sends the bytes in a message, over hosts of the same transports, connected in the same way.
func spreadByPubSub(t testing.TB, listen ...string) spread {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	hosts := make([]host.Host, spreadHosts)
	meters := make([]*metrics.BandwidthCounter, spreadHosts)
	topics := make([]*pubsub.Topic, spreadHosts)
	var arrived sync.WaitGroup
	for i := range hosts {
		meters[i] = metrics.NewBandwidthCounter()
		hosts[i] = must[host.Host](t)(libp2p.New(libp2p.ListenAddrStrings(listen...),
			libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.BandwidthReporter(meters[i])))
		defer hosts[i].Close()
		ps := must[*pubsub.PubSub](t)(pubsub.NewGossipSub(ctx, hosts[i], pubsub.WithMaxMessageSize(2*spreadBytes)))
		topics[i] = must[*pubsub.Topic](t)(ps.Join("spread"))
		sub := must[*pubsub.Subscription](t)(topics[i].Subscribe())
		if i > 0 {
			arrived.Go(func() { sub.Next(ctx) })
		}
	}
	for i, h := range hosts {
		for _, other := range hosts[:i] {
			if err := h.Connect(ctx, peer.AddrInfo{ID: other.ID(), Addrs: other.Addrs()}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, topic := range topics {
		eventually(t, "all hosts subscribe", func() bool { return len(topic.ListPeers()) == spreadHosts-1 })
	}
	time.Sleep(3 * time.Second) // heartbeats of a second build the mesh, which nothing but a tracer tells
	received := func() (sum int64) {
		for _, m := range meters[1:] {
			sum += m.GetBandwidthTotals().TotalIn
		}
		return sum
	}
	content := make([]byte, spreadBytes)
	rand.Read(content)
	before, began := received(), time.Now()
	if err := topics[0].Publish(ctx, content); err != nil {
		t.Fatal(err)
	}
	arrived.Wait()
	s := spread{took: time.Since(began)}
	time.Sleep(2 * time.Second) // duplicates are under way, and the counter lags by a second
	s.bytes = float64(received()-before) / float64(spreadHosts-1) / spreadBytes
	return s
}

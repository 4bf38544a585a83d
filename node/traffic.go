package node

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/mlecs/mlecs/node/api"
)

// carried are a node's counters from before it was started, and how they are kept for after. What a killed node counted since the last time is
// lost.
type carried struct {
	mu     sync.Mutex
	before counters
}

// counters are what Status shows of p2p.Traffic.
type counters struct {
	Sent            int64 `json:"sent"`
	Received        int64 `json:"received"`
	RejectedRecords int64 `json:"rejected_records"`
	RejectedBlobs   int64 `json:"rejected_blobs"`
	RefusedPeers    int64 `json:"refused_peers"`
}

// trafficEvery is how often the counters are stored.
const trafficEvery = 30 * time.Second

// total are the counters over all runs of the node.
func (n *Node) total() counters {
	n.carried.mu.Lock()
	defer n.carried.mu.Unlock()
	c := n.carried.before
	t := n.network.Traffic()
	_, _, _, badBlobs := n.live.now()
	c.Sent += t.Sent
	c.Received += t.Received
	c.RejectedRecords += t.RejectedRecords
	c.RejectedBlobs += t.RejectedBlobs + badBlobs
	c.RefusedPeers += t.RefusedPeers
	return c
}

// byProtocol is what went over libp2p's streams since the node's start, the most first.
func (n *Node) byProtocol() []api.ProtocolBytes {
	list := []api.ProtocolBytes{}
	for proto, bytes := range n.network.Traffic().ByProtocol {
		list = append(list, api.ProtocolBytes{Protocol: proto, Sent: bytes[0], Received: bytes[1]})
	}
	slices.SortFunc(list, func(a, b api.ProtocolBytes) int {
		return cmp.Or(cmp.Compare(b.Sent+b.Received, a.Sent+a.Received), cmp.Compare(a.Protocol, b.Protocol))
	})
	return list
}

// countTraffic stores the counters now and then; Run does at the end.
func (n *Node) countTraffic(ctx context.Context) error {
	tick := time.NewTicker(trafficEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		n.storeTraffic()
	}
}

func (n *Node) storeTraffic() {
	if err := putJSON(n.store, keyTraffic, n.total()); err != nil {
		n.log.Warn("counters not stored", "err", err)
	}
}

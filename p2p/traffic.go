package p2p

import (
	"maps"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Traffic counts the bytes of all streams (without the transports' own overhead) and what was refused, since New.
type Traffic struct {
	Sent, Received  int64
	ByProtocol      map[string][2]int64 // sent, received
	RejectedRecords int64               // records from peers that broke a rule
	RejectedBlobs   int64               // blobs from peers that did not match their CID
	RefusedPeers    int64               // peers turned away, for want of a valid certificate or of any proof in time
}

// meter is a libp2p bandwidth reporter that knows totals only. The library's own one computes rates with a global sweeper, and its totals
// lag by a second.
type meter struct {
	mu         sync.Mutex
	total      metrics.Stats
	byProtocol map[protocol.ID]metrics.Stats
	byPeer     map[peer.ID]metrics.Stats
}

var _ metrics.Reporter = (*meter)(nil)

func newMeter() *meter {
	return &meter{byProtocol: make(map[protocol.ID]metrics.Stats), byPeer: make(map[peer.ID]metrics.Stats)}
}

// LogSentMessage does nothing: libp2p reports the same bytes by stream.
func (m *meter) LogSentMessage(int64) {}

// LogRecvMessage does nothing: libp2p reports the same bytes by stream.
func (m *meter) LogRecvMessage(int64) {}

// LogSentMessageStream counts bytes written to a stream.
func (m *meter) LogSentMessageStream(n int64, proto protocol.ID, p peer.ID) {
	m.log(metrics.Stats{TotalOut: n}, proto, p)
}

// LogRecvMessageStream counts bytes read from a stream.
func (m *meter) LogRecvMessageStream(n int64, proto protocol.ID, p peer.ID) {
	m.log(metrics.Stats{TotalIn: n}, proto, p)
}

func (m *meter) log(s metrics.Stats, proto protocol.ID, p peer.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total = plus(m.total, s)
	m.byProtocol[proto] = plus(m.byProtocol[proto], s)
	m.byPeer[p] = plus(m.byPeer[p], s)
}

func plus(a, b metrics.Stats) metrics.Stats {
	a.TotalIn += b.TotalIn
	a.TotalOut += b.TotalOut
	return a
}

// forget drops the count of one peer, so that passing strangers do not fill the map.
func (m *meter) forget(p peer.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byPeer, p)
}

// GetBandwidthForPeer gives the totals of p; rates are zero, here and below.
func (m *meter) GetBandwidthForPeer(p peer.ID) metrics.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byPeer[p]
}

// GetBandwidthForProtocol gives the totals of a protocol.
func (m *meter) GetBandwidthForProtocol(proto protocol.ID) metrics.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byProtocol[proto]
}

// GetBandwidthTotals gives the totals of all streams.
func (m *meter) GetBandwidthTotals() metrics.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total
}

// GetBandwidthByPeer gives the totals of every peer still counted.
func (m *meter) GetBandwidthByPeer() map[peer.ID]metrics.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.byPeer)
}

// GetBandwidthByProtocol gives the totals of every protocol.
func (m *meter) GetBandwidthByProtocol() map[protocol.ID]metrics.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.byProtocol)
}

// Reset forgets everything.
func (m *meter) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total = metrics.Stats{}
	clear(m.byProtocol)
	clear(m.byPeer)
}

// TrimIdle does nothing: without rates nothing is idle.
func (m *meter) TrimIdle(time.Time) {}

package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// syncProtocol gives each of two members the records that only the other has. The sides take turns, the dialler first:
//
//	syncRanges   what is known, told apart more and more closely until both sides know which records the other lacks (sync_ranges.go)
//	records      one envelope each, after its length; ended by length 0 and a syncEnd
//
// Known is what a side has, or has refused lately: that is not sent to it again.
const syncProtocol = "/mlecs/sync/1"

const (
	syncIdle          = 20 * time.Second // for one message or record
	syncLongest       = time.Minute      // for an exchange; what was taken stays, and what is left comes in another one
	syncRecords       = 1024             // records sent in one turn; what is left comes in another exchange
	syncBatch         = 256 << 10        // bytes of records stored at once
	syncLinger        = 5 * time.Second
	syncServed        = 4               // exchanges at once that others began
	syncDamaged       = 8               // records in one exchange that cannot be opened, before it is given up
	refusedRemembered = 4096            // records
	refusedFor        = 5 * time.Minute // until a refused record may be sent again
)

// errSyncing says that an exchange with the same peer is running.
var errSyncing = errors.New("records are being synced with this peer already")

// syncConfig is what record sync stands on. All fields but damaged and log are required.
type syncConfig struct {
	host  host.Host
	store *storage.Store
	// member tells whether a peer may sync.
	member func(peer.ID) bool
	// accept checks records whose envelopes are verified, at most storage.MaxPut, stores them and tells subscribers, and gives an error for each.
	// Records come genesis, certificates and revocations first, a certificate after those that it rests on; a revocation may come before its
	// certificate, and is taken in the next exchange. An error is counted and sync goes on with the next record; if it is a refusal,
	// errConflict or errQuota, the record is not asked for again for a while.
	accept func(ctx context.Context, from peer.ID, list []*record.Signed) []error
	// damaged is told of each record that does not open.
	damaged func(from peer.ID, err error)
	log     *slog.Logger
	turn    int              // 0 means syncRecords
	longest time.Duration    // 0 means syncLongest
	now     func() time.Time // nil means time.Now
}

// syncService reconciles stored records with other members over /mlecs/sync/1.
type syncService struct {
	cfg     syncConfig
	refused *refusedRecords
	ctx     context.Context // ends with close
	cancel  context.CancelFunc
	tasks   sync.WaitGroup // served exchanges
	brought atomic.Int64   // records received that were not here

	mu      sync.Mutex
	closed  bool
	dialled map[peer.ID]bool // exchanges begun here
	served  map[peer.ID]bool // exchanges begun there
}

func newSyncService(cfg syncConfig) *syncService {
	if cfg.log == nil {
		cfg.log = slog.New(slog.DiscardHandler)
	}
	if cfg.damaged == nil {
		cfg.damaged = func(peer.ID, error) {}
	}
	if cfg.turn == 0 {
		cfg.turn = syncRecords
	}
	if cfg.longest == 0 {
		cfg.longest = syncLongest
	}
	if cfg.now == nil {
		cfg.now = time.Now
	}
	s := &syncService{
		cfg:     cfg,
		refused: newRefusedRecords(cfg.now),
		dialled: make(map[peer.ID]bool),
		served:  make(map[peer.ID]bool),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// start registers the stream handler. Sync works without it.
func (s *syncService) start() { s.cfg.host.SetStreamHandler(syncProtocol, s.serve) }

// close removes the handler, ends exchanges, and returns when no goroutine of the service is left.
func (s *syncService) close() {
	s.cfg.host.RemoveStreamHandler(syncProtocol)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.tasks.Wait()
}

// syncResult tells what one reconciliation moved.
type syncResult struct {
	Sent     int // records sent
	Received int // records received that were accepted
	Refused  int // records received that were not
}

func (r *syncResult) add(o syncResult) {
	r.Sent += o.Sent
	r.Received += o.Received
	r.Refused += o.Refused
}

// Sync reconciles with p, a connected peer, both ways, until neither has more for the other that would be accepted. Records signed with
// one sequence number may take a second call. Beside an error, the result tells what was moved before it.
func (s *syncService) Sync(ctx context.Context, p peer.ID) (syncResult, error) {
	var total syncResult
	if err := s.dial(p); err != nil {
		return total, fmt.Errorf("sync records with %s: %w", p, err)
	}
	defer s.hangUp(p)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	for {
		moved, more, err := s.dialExchange(ctx, p)
		total.add(moved)
		if err != nil {
			return total, fmt.Errorf("sync records with %s: %w", p, err)
		}
		if !more {
			return total, nil
		}
	}
}

// dial marks an exchange with p as begun here.
func (s *syncService) dial(p peer.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.dialled[p] || s.served[p] {
		return errSyncing
	}
	s.dialled[p] = true
	s.tasks.Add(1)
	return nil
}

func (s *syncService) hangUp(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.dialled, p)
	s.tasks.Done()
}

// pickUp marks an exchange as begun by p. If both sides began one at once, that of the lower id goes on.
func (s *syncService) pickUp(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.served[p] || len(s.served) == syncServed || s.dialled[p] && s.cfg.host.ID() < p {
		return false
	}
	s.served[p] = true
	s.tasks.Add(1)
	return true
}

func (s *syncService) putDown(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.served, p)
}

// serve is the listener's side.
func (s *syncService) serve(stream network.Stream) {
	p := stream.Conn().RemotePeer()
	if !s.cfg.member(p) || !s.pickUp(p) {
		stream.Reset()
		return
	}
	defer s.tasks.Done()
	defer resetOn(s.ctx, stream)()
	x := newExchange(s, stream, p)
	err := x.listen(s.ctx)
	s.putDown(p) // before the stream ends: the peer may begin another exchange as soon as it sees that
	if err != nil {
		stream.Reset()
		s.cfg.log.Debug("sync failed; another will follow", "peer", p, "err", err)
		return
	}
	stream.Close()
	if x.result != (syncResult{}) {
		s.cfg.log.Debug("records synced", "peer", p, "sent", x.result.Sent, "received", x.result.Received, "refused", x.result.Refused)
	}
}

// dialExchange runs one exchange; more tells that another one will move more.
func (s *syncService) dialExchange(ctx context.Context, p peer.ID) (moved syncResult, more bool, err error) {
	stream, err := s.cfg.host.NewStream(network.WithNoDial(ctx, "sync"), p, syncProtocol)
	if err != nil {
		return syncResult{}, false, err
	}
	defer resetOn(ctx, stream)()
	x := newExchange(s, stream, p)
	if err := x.begin(ctx); err != nil {
		stream.Reset()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return x.result, false, err
	}
	stream.Close()
	return x.result, x.more && (x.took || x.result.Received > 0), nil
}

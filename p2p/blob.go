package p2p

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
)

// blobProtocol moves one blob per stream, from the side that accepted the stream:
//
//	asker  -> blobRequest
//	holder -> blobReply, and if its status is blobFollows the bytes from Offset to the end
const blobProtocol = "/mlecs/blob/1"

const (
	maxBlobMessage   = 256              // bytes of a request or a reply
	blobChunk        = 64 << 10         // bytes moved at a time
	blobIdle         = 20 * time.Second // for one chunk; slower peers are given up
	servedBlobs      = 16               // streams served at once
	servedToOne      = 4                // ... to one peer
	fetchedBlobs     = 4                // blobs fetched at once
	rememberedFaults = 1024             // blobs of which it is remembered who sent other bytes
)

type blobRequest struct {
	CID    cid.Cid `cbor:"cid"`
	Offset int64   `cbor:"offset"` // bytes that the asker has
}

type blobReply struct {
	Status string `cbor:"status"`
	Size   int64  `cbor:"size"` // of the whole blob; 0 if the status is another than blobFollows
}

// Statuses of a blobReply. A peer that may not read a blob is told that it is absent.
const (
	blobFollows = "ok"
	blobAbsent  = "absent"
	blobBusy    = "busy" // ask again later
)

// blobConfig is what blob transfer stands on. All fields but reject and log are required.
type blobConfig struct {
	host  host.Host
	store *storage.Store
	// allow tells whether a peer may read a blob: nil, or the reason why not (logged here, never told to the peer).
	allow func(peer.ID, cid.Cid) error
	// members are the connected members, in the order in which to ask them.
	members func() []peer.ID
	// reject is told of each peer that sent bytes that do not match their CID.
	reject func(peer.ID, cid.Cid)
	log    *slog.Logger
	idle   time.Duration // 0 means blobIdle
}

// blobService serves stored blobs (blob_serve.go) and fetches missing ones (blob_fetch.go) over /mlecs/blob/1, and larger ones piece by piece
// (piece_serve.go, piece_fetch.go) over /mlecs/piece/1.
type blobService struct {
	cfg    blobConfig
	ctx    context.Context // ends with close
	cancel context.CancelFunc
	tasks  sync.WaitGroup // fetches and served streams

	slots  chan struct{} // one for each fetch that may run
	faults *faults
	handed *handed

	blobStreams, pieceStreams *streamLimits

	mu      sync.Mutex
	closed  bool
	flights map[cid.Cid]*flight
}

func newBlobService(cfg blobConfig) *blobService {
	if cfg.idle == 0 {
		cfg.idle = blobIdle
	}
	if cfg.log == nil {
		cfg.log = slog.New(slog.DiscardHandler)
	}
	if cfg.reject == nil {
		cfg.reject = func(peer.ID, cid.Cid) {}
	}
	b := &blobService{
		cfg:     cfg,
		slots:   make(chan struct{}, fetchedBlobs),
		faults:  newFaults(),
		handed:  newHanded(),
		flights: make(map[cid.Cid]*flight),

		blobStreams: newStreamLimits(servedBlobs, servedToOne), pieceStreams: newStreamLimits(servedPieces, piecesToOne),
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// start registers the stream handlers. Fetch works without them.
func (b *blobService) start() {
	b.cfg.host.SetStreamHandler(blobProtocol, b.handler(blobProtocol, b.answer))
	b.cfg.host.SetStreamHandler(pieceProtocol, b.handler(pieceProtocol, b.answerPiece))
}

// close removes the handlers, ends fetches, and returns when no goroutine of the service is left.
func (b *blobService) close() {
	b.cfg.host.RemoveStreamHandler(blobProtocol)
	b.cfg.host.RemoveStreamHandler(pieceProtocol)
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	b.tasks.Wait()
}

// begin counts a goroutine in that close waits for; false after close.
func (b *blobService) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.tasks.Add(1)
	return true
}

// resetOn ends the stream's reads and writes when ctx ends; the returned function stops the watch.
func resetOn(ctx context.Context, s network.Stream) (stop func() bool) {
	return context.AfterFunc(ctx, func() { s.Reset() })
}

// errUnusable marks an answer that makes a peer useless for this blob, though not guilty of sending other bytes.
var errUnusable = errors.New("peer cannot serve this blob")

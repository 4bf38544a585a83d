package p2p

import (
	"context"
	"log/slog"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
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
}

// blobService serves stored blobs and fetches missing ones over /mlecs/blob/1.
type blobService struct{ cfg blobConfig }

func newBlobService(cfg blobConfig) *blobService { return &blobService{cfg: cfg} }

// start registers the stream handler; close removes it, ends fetches, and returns when no goroutine of the service is left.
func (b *blobService) start() {}
func (b *blobService) close() {}

// Fetch is Network.FetchBlob.
func (b *blobService) Fetch(ctx context.Context, want record.Blob, hint []peer.ID, progress func(done, total int64)) error {
	panic("stub")
}

// Rejected counts transfers whose bytes did not match the CID.
func (b *blobService) Rejected() int64 { panic("stub") }

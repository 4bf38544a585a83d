package p2p

import (
	"context"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// syncConfig is what record sync stands on. All fields but log are required.
type syncConfig struct {
	host  host.Host
	store *storage.Store
	// member tells whether a peer may sync.
	member func(peer.ID) bool
	// accept checks a record whose envelope is verified, stores it and tells subscribers. Records come certificates and revocations first.
	// An error is counted; sync goes on with the next record.
	accept func(ctx context.Context, from peer.ID, r *record.Signed) error
	log    *slog.Logger
}

// syncService reconciles stored records with one peer at a time over /mlecs/sync/1.
type syncService struct{ cfg syncConfig }

func newSyncService(cfg syncConfig) *syncService { return &syncService{cfg: cfg} }

// start registers the stream handler; close removes it and returns when no goroutine of the service is left.
func (s *syncService) start() {}
func (s *syncService) close() {}

// syncResult tells what one reconciliation moved.
type syncResult struct {
	Sent     int // records sent
	Received int // records received that were accepted
	Refused  int // records received that were not
}

// Sync reconciles with p, both ways. The driver calls it on connect and periodically; calls for one peer do not overlap.
func (s *syncService) Sync(ctx context.Context, p peer.ID) (syncResult, error) { panic("stub") }

package p2p

import (
	"context"
	"errors"
	"slices"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

const (
	rememberedBlobs   = 4096 // blobs whose announcers are remembered
	rememberedSources = 4    // announcers of one blob
)

// FetchBlob brings a blob into the store: hint first, then the author of the record that announced it and whoever forwarded it, then the other members in
// reach, nearest first. It is resumed and verified; progress may be nil. It returns when the blob is stored, ctx ends, or every
// member in reach failed.
func (n *Network) FetchBlob(ctx context.Context, b record.Blob, hint []peer.ID, progress func(done, total int64)) error {
	first := slices.DeleteFunc(slices.Concat(hint, n.sources.of(b.CID)), func(p peer.ID) bool { return p == n.id })
	return n.blobs.Fetch(ctx, b, first, progress)
}

// nearest are the members in reach by round trip, unmeasured ones last.
func (n *Network) nearest() []peer.ID {
	all := n.gate.snapshot()
	ids := n.inReach()
	slices.SortStableFunc(ids, func(a, b peer.ID) int {
		x, y := all[a].rtt, all[b].rtt
		switch {
		case (x == 0) != (y == 0) && x == 0:
			return 1
		case (x == 0) != (y == 0):
			return -1
		}
		return int(x - y)
	})
	return ids
}

// mayRead tells whether p may have a blob. The targets of the public data are for super-peers only: edges learn without them.
func (n *Network) mayRead(p peer.ID, id cid.Cid) error {
	if !n.gate.proved(p) {
		return errors.New("not a proved member")
	}
	if n.conduct.isGray(p) {
		return errors.New("it is on the gray list")
	}
	c, err := n.roster.member(p)
	if err != nil {
		return err
	}
	if id.Equals(n.targets) && c.body.Role != record.RoleSuper {
		return errors.New("targets of the public data are for super-peers only")
	}
	return nil
}

// badBlob notes a peer that sent bytes that do not match their CID.
func (n *Network) badBlob(p peer.ID, id cid.Cid) {
	n.rejectedBlobs.Add(1)
	n.blame(p, faultBadBlob)
	n.log.Warn("blob rejected", "peer", p, "blob", id, "reason", "content does not match its CID")
}

// sources remembers who announced which blob.
type sources struct {
	mu    sync.Mutex
	blobs *lru.Cache[cid.Cid, []peer.ID]
}

func newSources() *sources {
	blobs, err := lru.New[cid.Cid, []peer.ID](rememberedBlobs)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &sources{blobs: blobs}
}

func (s *sources) of(blob cid.Cid) []peer.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids, _ := s.blobs.Get(blob)
	return slices.Clone(ids)
}

// note remembers the author of r, who has the blob, and after it from, who brought r and may have it soon.
func (s *sources) note(r *record.Signed, from peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range announced(r) {
		blob := b.CID
		ids, _ := s.blobs.Get(blob)
		for _, p := range []peer.ID{r.Author, from} {
			if !slices.Contains(ids, p) && len(ids) < rememberedSources {
				ids = append(slices.Clone(ids), p)
			}
		}
		s.blobs.Add(blob, ids)
	}
}

// announced lists the blobs that a record announces.
func announced(r *record.Signed) []record.Blob {
	var blobs []record.Blob
	add := func(b record.Blob) {
		if b.CID.Defined() {
			blobs = append(blobs, b)
		}
	}
	switch r.Kind {
	case record.KindDelta:
		if body, err := record.BodyAs[record.Delta](r); err == nil {
			for _, c := range body.Components {
				add(c.Blob)
			}
		}
	case record.KindContribution:
		if body, err := record.BodyAs[record.Contribution](r); err == nil {
			for _, c := range body.Components {
				add(c.Blob)
			}
		}
	case record.KindAggregate:
		if body, err := record.BodyAs[record.Aggregate](r); err == nil {
			for _, c := range body.Components {
				add(c.Blob)
			}
			add(body.Supervision)
			add(body.Checkpoint)
		}
	}
	return blobs
}

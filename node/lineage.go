package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// Lineage walks from a delta or an aggregate to the genesis, or for limit records at most, the nearest first; 0 is no limit.
func (v *view) Lineage(ctx context.Context, id string, limit int) (*api.Lineage, error) {
	root, err := v.named("delta or aggregate", "deltas", id, record.KindDelta, record.KindAggregate)
	if err != nil {
		return nil, err
	}
	out := &api.Lineage{CID: root.CID.String(), Records: []api.LineageRecord{}}
	w := walk{view: v, state: map[cid.Cid]*api.LineageRecord{}}
	if limit > 0 {
		if err := w.spread(root.CID, limit); err != nil {
			return nil, fmt.Errorf("lineage of %s: %w", root.CID, err)
		}
	}
	if err := w.visit(ctx, root.CID); err != nil {
		return nil, fmt.Errorf("lineage of %s: %w", root.CID, err)
	}
	for _, id := range slices.Backward(w.order) {
		out.Records = append(out.Records, *w.state[id])
	}
	out.More = w.more
	return out, nil
}

// walk is a search of the Merkle DAG, depth first. No cycles are in it: a record has the CIDs of its parents inside.
type walk struct {
	view  *view
	state map[cid.Cid]*api.LineageRecord
	order []cid.Cid                  // parents before children
	near  map[cid.Cid]bool           // records to visit; nil: all
	read  map[cid.Cid]*record.Signed // by spread, for look
	more  bool                       // some were not visited
}

// spread chooses the records nearest to the root.
func (w *walk) spread(root cid.Cid, limit int) error {
	w.near, w.read = map[cid.Cid]bool{root: true}, map[cid.Cid]*record.Signed{}
	for queue := []cid.Cid{root}; len(queue) > 0; queue = queue[1:] {
		r, err := w.view.store.Record(queue[0])
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		w.read[queue[0]] = r
		for _, p := range parentsOf(r) {
			if len(w.near) < limit && !w.near[p] {
				w.near[p] = true
				queue = append(queue, p)
			}
		}
	}
	return nil
}

// parentsOf are what a record was made from. One that names no parent rests on its federation's genesis.
func parentsOf(r *record.Signed) []cid.Cid {
	if len(r.Parents) == 0 && r.Federation.Defined() {
		return []cid.Cid{r.Federation}
	}
	return r.Parents
}

// step is one record on the path from the root, and its parents that are yet to be visited.
type step struct {
	id   cid.Cid
	left []cid.Cid
}

// visit goes without recursion: a federation may have as many rounds as it likes.
func (w *walk) visit(ctx context.Context, root cid.Cid) error {
	var path []*step
	enter := func(id cid.Cid) error {
		if w.state[id] != nil {
			return nil
		}
		if w.near != nil && !w.near[id] {
			w.more = true
			return nil
		}
		r, parents, err := w.look(id)
		if err != nil {
			return err
		}
		w.state[id] = r
		path = append(path, &step{id, parents})
		return nil
	}
	if err := enter(root); err != nil {
		return err
	}
	for len(path) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := path[len(path)-1]
		if len(at.left) == 0 {
			w.order = append(w.order, at.id)
			path = path[:len(path)-1]
			continue
		}
		next := at.left[0]
		at.left = at.left[1:]
		if err := enter(next); err != nil {
			return err
		}
	}
	return nil
}

// look describes one record.
func (w *walk) look(id cid.Cid) (*api.LineageRecord, []cid.Cid, error) {
	out := &api.LineageRecord{CID: id.String(), Parents: []string{}}
	r, err := w.read[id], error(nil)
	if r == nil {
		r, err = w.view.store.Record(id)
	}
	if errors.Is(err, storage.ErrNotFound) {
		return out, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	parents := parentsOf(r)
	for _, p := range parents {
		out.Parents = append(out.Parents, p.String())
	}
	out.Kind, out.Author, out.AuthorName, out.Created = string(r.Kind), r.Author.String(), w.view.name(r.Author), r.Created
	var blobs []record.Blob
	switch r.Kind {
	case record.KindDelta:
		if b, err := record.BodyAs[record.Delta](r); err == nil {
			out.Round = b.Round
			blobs = componentBlobs(b.Components)
		}
	case record.KindContribution:
		if b, err := record.BodyAs[record.Contribution](r); err == nil {
			out.Round = b.Round
			blobs = componentBlobs(b.Components)
		}
	case record.KindAggregate:
		if b, err := record.BodyAs[record.Aggregate](r); err == nil {
			out.Round = b.Round
			blobs = blobsOf(b)
		}
	}
	for _, b := range blobs {
		out.Blobs++
		if w.view.store.HasBlob(b.CID) {
			out.Stored++
		}
	}
	return out, parents, nil
}

func componentBlobs(components []record.Component) []record.Blob {
	blobs := make([]record.Blob, len(components))
	for i, c := range components {
		blobs[i] = c.Blob
	}
	return blobs
}

// Records are the CIDs of all that is stored.
func (v *view) Records(context.Context) ([]string, error) {
	if v.store == nil {
		return []string{}, nil
	}
	books, err := v.books()
	if err != nil {
		return nil, err
	}
	return books.records(), nil
}

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

// Lineage walks from a delta or an aggregate to the genesis.
func (v *view) Lineage(ctx context.Context, id string) (*api.Lineage, error) {
	root, err := v.findLearned(id)
	if err != nil {
		return nil, err
	}
	out := &api.Lineage{CID: root.String(), Records: []api.LineageRecord{}}
	w := walk{view: v, state: map[cid.Cid]*api.LineageRecord{}}
	if err := w.visit(ctx, root); err != nil {
		return nil, fmt.Errorf("lineage of %s: %w", root, err)
	}
	for _, id := range slices.Backward(w.order) {
		out.Records = append(out.Records, *w.state[id])
	}
	return out, nil
}

// findLearned finds a delta or an aggregate by CID or unique prefix.
func (v *view) findLearned(id string) (cid.Cid, error) {
	a, errA := v.findAggregate(id)
	d, errD := v.findDelta(id)
	switch {
	case errA == nil && errD == nil:
		return cid.Undef, api.Advise(fmt.Errorf("%q: %w: a delta and an aggregate begin so", id, api.ErrAmbiguous), "give more characters")
	case errA == nil && !errors.Is(errD, api.ErrAmbiguous):
		return a.cid, nil
	case errD == nil && !errors.Is(errA, api.ErrAmbiguous):
		return d.cid, nil
	case errors.Is(errA, api.ErrAmbiguous):
		return cid.Undef, errA
	}
	return cid.Undef, errD
}

// walk is a search of the Merkle DAG, depth first. No cycles are in it: a record has the CIDs of its parents inside.
type walk struct {
	view  *view
	state map[cid.Cid]*api.LineageRecord
	order []cid.Cid // parents before children
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

// look describes one record. A record that names no parent rests on its federation's genesis.
func (w *walk) look(id cid.Cid) (*api.LineageRecord, []cid.Cid, error) {
	out := &api.LineageRecord{CID: id.String(), Parents: []string{}}
	r, err := w.view.store.Record(id)
	if errors.Is(err, storage.ErrNotFound) {
		return out, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	parents := r.Parents
	if len(parents) == 0 && r.Federation.Defined() {
		parents = []cid.Cid{r.Federation}
	}
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
	if v.ledger == nil {
		return []string{}, nil
	}
	return v.ledger.records(), nil
}

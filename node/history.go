package node

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// Rounds are the winning aggregates, oldest first.
func (v *view) Rounds(_ context.Context, w api.Window) ([]api.Round, error) {
	list := []api.Round{}
	if v.recent == nil {
		return list, nil
	}
	for a := range v.recent.back() {
		if k := len(list); k > 0 {
			list[k-1].Seconds = math.Max(0, float64(list[k-1].Created-a.Created)/1000)
		}
		if a.body.Round < w.From || w.Last > 0 && len(list) == w.Last {
			break
		}
		r, err := v.round(a)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	slices.Reverse(list)
	return list, nil
}

// round is an aggregate as the API shows it, but for how long its round took.
func (v *view) round(a *aggregateEntry) (api.Round, error) {
	r := api.Round{
		Round: a.body.Round, Leader: a.Author.String(), Aggregate: a.cid.String(), Created: a.Created,
		Inputs: []api.Input{}, Metrics: a.body.Metrics, Disputes: len(v.recent.disputesOf(a.cid)),
		SupervisionBytes: a.body.Supervision.Bytes, RecordBytes: a.size,
	}
	var f finding
	if _, err := getJSON(v.store, keyFinding+a.cid.String(), &f); err != nil {
		return r, err
	}
	r.Verdict = f.Verdict
	for _, in := range a.body.Inputs {
		r.Inputs = append(r.Inputs, api.Input{Delta: in.Delta.String(), Round: in.Round, Author: in.Author.String(), Modalities: nonNil(in.Modalities), Weight: in.Weight})
	}
	for _, c := range a.body.Components {
		r.Components = append(r.Components, v.component(c.Component))
	}
	return r, nil
}

// storedDelta is a delta as it is read from the store, whether the node runs or not: a home has far more of them than a command tells of.
type storedDelta struct {
	*record.Signed
	body *record.Delta
}

// Deltas in order of round, author and CID.
func (v *view) Deltas(_ context.Context, w api.Window) ([]api.Delta, error) {
	list := []api.Delta{}
	if v.store == nil {
		return list, nil
	}
	if w.Last > 0 {
		newest, err := v.store.NewestRound(record.KindDelta, w.Last)
		if err != nil {
			return nil, err
		}
		w.From = max(w.From, newest)
	}
	var found []storedDelta
	for r, err := range v.store.ByRound(record.KindDelta, storage.Range{From: w.From, To: math.MaxUint64}) {
		if err != nil {
			return nil, fmt.Errorf("read deltas: %w", err)
		}
		if body, err := record.BodyAs[record.Delta](r); err == nil { // one of a newer version is kept, never acted on
			found = append(found, storedDelta{r, body})
		}
	}
	slices.SortFunc(found, func(a, b storedDelta) int {
		return cmp.Or(cmp.Compare(a.body.Round, b.body.Round), cmp.Compare(a.Author, b.Author), compareCIDs(a.CID, b.CID))
	})
	if w.Last > 0 {
		found = found[max(0, len(found)-w.Last):]
	}
	for _, d := range found {
		list = append(list, v.delta(d))
	}
	return list, nil
}

// Delta finds a delta by CID or unique prefix.
func (v *view) Delta(_ context.Context, id string) (*api.Delta, error) {
	d, err := v.findDelta(id)
	if err != nil {
		return nil, err
	}
	out := v.delta(d)
	return &out, nil
}

func (v *view) findDelta(id string) (d storedDelta, err error) {
	if d.Signed, err = v.named("delta", "deltas", id, record.KindDelta); err == nil {
		d.body, err = record.BodyAs[record.Delta](d.Signed)
	}
	return d, err
}

func (v *view) findAggregate(id string) (*aggregateEntry, error) {
	r, err := v.named("aggregate", "rounds --json", id, record.KindAggregate)
	if err != nil {
		return nil, err
	}
	return aggregateOf(r), nil
}

// maxNamed is how many records that begin alike are looked at for one of the right kind.
const maxNamed = 256

// named finds the one record of some kinds whose CID begins with prefix. command lists them.
func (v *view) named(what, command, prefix string, kinds ...record.Kind) (*record.Signed, error) {
	var found *record.Signed
	var ids []cid.Cid
	var err error
	if v.store != nil && prefix != "" {
		if ids, err = v.store.Named(prefix, maxNamed); err != nil {
			return nil, err
		}
	}
	var fit []string
	for _, id := range ids {
		r, err := v.store.Record(id)
		if err != nil {
			return nil, err
		}
		if r.Version == record.Version && slices.Contains(kinds, r.Kind) {
			fit = append(fit, id.String())
			found = r
		}
	}
	switch {
	case len(fit) > 1 || len(ids) == maxNamed:
		return nil, api.Advise(fmt.Errorf("%s %q: %w: several begin so", what, prefix, api.ErrAmbiguous), "give more characters%s", someOf(fit, len(prefix)))
	case found == nil:
		return nil, api.Advise(fmt.Errorf("%s %q: %w", what, prefix, api.ErrNotFound), "list them with `mlecs %s`", command)
	}
	return found, nil
}

// someOf names the first CIDs of a sorted list that fit a prefix of n characters, each cut to where it is surely the only one.
func someOf(fit []string, n int) string {
	const most, further = 4, 12
	if len(fit) == 0 {
		return ""
	}
	var names []string
	for _, id := range fit[:min(len(fit), most)] {
		names = append(names, id[:min(len(id), max(n, len("bafyrei"))+further)])
	}
	more := ""
	if len(fit) > most {
		more = " and others"
	}
	return ": there are " + strings.Join(names, ", ") + more
}

// delta is a delta as the API shows it.
func (v *view) delta(d storedDelta) api.Delta {
	out := api.Delta{
		CID: d.CID.String(), Round: d.body.Round, Author: d.Author.String(), AuthorName: v.name(d.Author), Seq: d.Seq, Created: d.Created,
		Base: d.body.Base.String(), Parents: []string{}, Modalities: nonNil(d.body.Modalities), Rows: d.body.Rows, PublicRows: d.body.Public,
		Components: []api.Component{}, Metrics: d.body.Metrics, RecordBytes: int64(len(d.Envelope)),
	}
	for _, p := range d.Parents {
		out.Parents = append(out.Parents, p.String())
	}
	for _, c := range d.body.Components {
		out.Components = append(out.Components, v.component(c))
		out.Bytes += c.Blob.Bytes
		out.Params += c.Params
	}
	return out
}

func (v *view) component(c record.Component) api.Component {
	return api.Component{
		Name: c.Name, Signature: c.Signature, Codec: c.Codec, Params: c.Params, CID: c.Blob.CID.String(), Bytes: c.Blob.Bytes,
		Stored: v.store.HasBlob(c.Blob.CID),
	}
}

func (v *view) name(p peer.ID) string {
	c, _ := v.recent.holder(p)
	return c.Name
}

// authorWindow is how many records of an author are looked through at once for its last delta.
const authorWindow = 64

// lastDeltaOf is an author's delta of the last round that it has one of, nil if it has published none.
func (v *view) lastDeltaOf(author peer.ID) (*record.Delta, error) {
	next, err := v.store.NextSeq(author)
	if err != nil {
		return nil, err
	}
	for next > 1 {
		from := next - min(next-1, authorWindow)
		var last *record.Delta
		for r, err := range v.store.ByAuthor(author, storage.Range{From: from, To: next - 1}) {
			if err != nil {
				return nil, fmt.Errorf("read deltas: %w", err)
			}
			if body, err := record.BodyAs[record.Delta](r); err == nil && (last == nil || last.Round < body.Round) {
				last = body
			}
		}
		if last != nil {
			return last, nil
		}
		next = from
	}
	return nil, nil
}

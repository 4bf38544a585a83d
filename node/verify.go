package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// verifier recomputes aggregates from records and blobs. Supervision and checkpoint are the super-peer's own work on the public rows:
// those are taken on trust.
type verifier struct {
	store   *storage.Store
	genesis *genesis
	origins *origins
	fetch   func(ctx context.Context, blobs []record.Blob, author peer.ID) error

	fetched int
	bytes   int64
}

func newVerifier(store *storage.Store, g *genesis, l *ledger, fetch func(context.Context, []record.Blob, peer.ID) error) *verifier {
	v := &verifier{store: store, genesis: g, fetch: fetch}
	v.origins = newOrigins(store, g, l, v.bring)
	return v
}

// bring fetches those of blobs that are not here, and counts them.
func (v *verifier) bring(ctx context.Context, blobs []record.Blob, author peer.ID) error {
	for _, b := range blobs {
		if v.store.HasBlob(b.CID) {
			continue
		}
		if err := v.fetch(ctx, []record.Blob{b}, author); err != nil {
			return err
		}
		v.fetched++
		v.bytes += b.Bytes
	}
	return nil
}

// fetchNothing stands for the network where there is none.
func fetchNothing(_ context.Context, blobs []record.Blob, _ peer.ID) error {
	return fmt.Errorf("blob %s: %w: the node does not run", blobs[0].CID, errNotFetched)
}

// falsehood is what an aggregate says and its inputs do not. Any other error of a verifier means that it could not tell.
type falsehood string

func (f falsehood) Error() string { return string(f) }

func falsef(format string, args ...any) error { return falsehood(fmt.Sprintf(format, args...)) }

// verdictOf tells what an error of a verifier means, and why.
func verdictOf(err error) (verdict, detail string) {
	var f falsehood
	switch {
	case err == nil:
		return api.VerdictVerified, ""
	case errors.As(err, &f):
		return api.VerdictFalse, string(f)
	}
	return api.VerdictUnknown, err.Error()
}

// source is one record that an aggregate was made from: a delta, or the super-peer's contribution.
type source struct {
	cid        cid.Cid
	author     peer.ID
	rows       int
	components []record.Component
	delta      *deltaEntry // nil for a contribution
}

// sources reads the records that a names as its inputs, in its order, and the super-peer's contribution, nil if it has none.
func (v *verifier) sources(a *aggregateEntry) (inputs []*source, own *source, err error) {
	known := map[cid.Cid]bool{}
	for _, in := range a.body.Inputs {
		known[in.Delta] = true
		r, err := v.store.Record(in.Delta)
		if err != nil {
			return nil, nil, fmt.Errorf("input %s: %w", in.Delta, err)
		}
		d, err := record.BodyAs[record.Delta](r)
		if errors.Is(err, record.ErrKind) {
			return nil, nil, falsef("input %s is no delta", in.Delta)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("input %s: %w", in.Delta, err)
		}
		if r.Author != in.Author || d.Round != in.Round || !slices.Equal(d.Modalities, in.Modalities) {
			return nil, nil, falsef("input %s has another author, another round or other modalities than the aggregate says", in.Delta)
		}
		if !slices.Contains(a.Parents, in.Delta) {
			return nil, nil, falsef("input %s is not among the aggregate's parents", in.Delta)
		}
		inputs = append(inputs, &source{in.Delta, r.Author, int(min(d.Rows, maxRows)), d.Components, &deltaEntry{Record: r.Record, cid: r.CID, body: d}})
	}
	for _, c := range a.body.Components {
		for _, in := range c.Inputs {
			switch {
			case known[in.Delta] || own != nil && own.cid == in.Delta:
				continue
			case own != nil:
				return nil, nil, falsef("it names %s and %s, which are none of its inputs", own.cid, in.Delta)
			}
			if own, err = v.contribution(a, in.Delta); err != nil {
				return nil, nil, err
			}
		}
	}
	return inputs, own, nil
}

// contribution reads the record that a names for its author's own part.
func (v *verifier) contribution(a *aggregateEntry, id cid.Cid) (*source, error) {
	r, err := v.store.Record(id)
	if err != nil {
		return nil, fmt.Errorf("contribution %s: %w", id, err)
	}
	c, err := record.BodyAs[record.Contribution](r)
	switch {
	case errors.Is(err, record.ErrKind):
		return nil, falsef("%s is neither one of its inputs nor a contribution", id)
	case err != nil:
		return nil, fmt.Errorf("contribution %s: %w", id, err)
	case r.Author != a.Author || c.Round != a.body.Round:
		return nil, falsef("contribution %s is another super-peer's, or of another round", id)
	case c.Rows > v.genesis.Data.Rows:
		return nil, falsef("contribution %s claims %d public rows, and the federation has %d", id, c.Rows, v.genesis.Data.Rows)
	}
	return &source{id, r.Author, int(c.Rows), c.Components, nil}, nil
}

// component recomputes one component of a. It gives the blob that the inputs make, undefined if they make none.
func (v *verifier) component(ctx context.Context, a *aggregateEntry, inputs []*source, own *source, want record.AggregatedComponent) (cid.Cid, error) {
	if want.Rule != v.genesis.method.MeanRule() {
		return cid.Undef, fmt.Errorf("rule %q is not known here; the federation's is %q", want.Rule, v.genesis.method.MeanRule())
	}
	ids := make([]cid.Cid, len(inputs))
	deltas := make([]method.Input, len(inputs))
	for i, in := range inputs {
		parts, err := v.parts(ctx, in, want.Component)
		if err != nil {
			return cid.Undef, err
		}
		ids[i] = in.cid
		deltas[i] = method.Input{
			ID: in.cid.String(), Round: in.delta.body.Round, Modalities: in.delta.body.Modalities, Rows: in.rows, Parts: parts,
		}
	}
	var mine []adapter.Component
	var rows int
	if own != nil {
		parts, err := v.parts(ctx, own, want.Component)
		if err != nil {
			return cid.Undef, err
		}
		for _, p := range parts {
			c, err := p.Open(new(adapter.Decoder))
			if err != nil {
				return cid.Undef, err
			}
			mine = append(mine, c)
		}
		rows = own.rows
	}
	averaged, _, _, err := method.Mean(v.genesis.method, a.body.Round, deltas, mine, rows, len(v.genesis.Data.Modalities), v.genesis.Share)
	var f falsehood
	var u unread
	switch {
	case errors.As(err, &f):
		return cid.Undef, f
	case errors.As(err, &u):
		return cid.Undef, u.error
	case err != nil:
		return cid.Undef, falsef("its inputs have no mean: %v", err)
	}
	if len(averaged) != 1 {
		return cid.Undef, falsef("none of its inputs has this component")
	}
	weights := make([]record.ComponentWeight, len(averaged[0].Inputs))
	for k, i := range averaged[0].Inputs {
		weights[k].Weight = averaged[0].Weights[k]
		if i >= 0 {
			weights[k].Delta = ids[i]
		} else {
			weights[k].Delta = own.cid
		}
	}
	blob := record.BlobCID(averaged[0].Blob.Bytes)
	switch {
	case blob != want.Blob.CID:
		return blob, falsef("the mean of its inputs is another blob")
	case !slices.Equal(weights, want.Inputs):
		return blob, falsef("inputs or weights are not those of rule %s", want.Rule)
	case averaged[0].Component.Params() != want.Params || averaged[0].Blob.Codec != want.Codec || int64(len(averaged[0].Blob.Bytes)) != want.Blob.Bytes:
		return blob, falsef("codec, size or number of parameters is not that of its blob")
	}
	return blob, nil
}

// unread is an error by which an input could not be read.
type unread struct{ error }

func (u unread) Unwrap() error { return u.error }

// parts gives in's version of a component, whose blob it brings: none, one, or those of several models of a super-peer. Their errors are
// falsehoods or unread.
func (v *verifier) parts(ctx context.Context, in *source, want record.Component) ([]method.Part, error) {
	codec := v.genesis.method.AggregateCodec
	if in.delta != nil {
		codec = v.genesis.codec()
	}
	judge := func(err error) error {
		if errors.Is(err, errBadBlob) {
			return falsef("input %s is of no use: %v", in.cid, err)
		}
		return unread{fmt.Errorf("input %s: %w", in.cid, err)}
	}
	var parts []method.Part
	for _, c := range in.components {
		if c.Name != want.Name || c.Signature != want.Signature {
			continue
		}
		err := checkComponent(c, codec)
		if err == nil {
			err = v.bring(ctx, []record.Blob{c.Blob}, in.author)
		}
		var reference adapter.Component
		if err == nil && in.delta != nil {
			reference, err = v.origins.reference(ctx, in.delta, c)
		}
		if err != nil {
			return nil, judge(err)
		}
		p := partOf(v.store, c, reference)
		open := p.Open
		p.Open = func(d *adapter.Decoder) (adapter.Component, error) {
			c, err := open(d)
			if err != nil {
				return c, judge(err)
			}
			return c, nil
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// run recomputes those components of a that only accepts.
func (v *verifier) run(ctx context.Context, a *aggregateEntry, only func(i int, c record.AggregatedComponent) bool) (*api.Verification, error) {
	out := &api.Verification{
		Aggregate: a.cid.String(), Round: a.body.Round, Author: a.Author.String(), Inputs: len(a.body.Inputs),
		Components: []api.VerifiedComponent{}, Disputes: []api.Dispute{},
	}
	inputs, own, sourceErr := v.sources(a)
	for i, c := range a.body.Components {
		if !only(i, c) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		part := api.VerifiedComponent{Name: c.Name, Signature: c.Signature, Rule: c.Rule, Inputs: len(c.Inputs), Claimed: c.Blob.CID.String()}
		found, err := cid.Undef, sourceErr
		if err == nil {
			found, err = v.component(ctx, a, inputs, own, c)
		}
		if found.Defined() {
			part.Found = found.String()
		}
		part.Verdict, part.Detail = verdictOf(err)
		out.Components = append(out.Components, part)
	}
	out.Verdict = worst(out.Components)
	out.Fetched, out.Bytes = v.fetched, v.bytes
	return out, nil
}

// worst is the verdict on an aggregate by those on its components: one that is false makes it false.
func worst(parts []api.VerifiedComponent) string {
	verdict := api.VerdictVerified
	for _, p := range parts {
		switch {
		case p.Verdict == api.VerdictFalse:
			return api.VerdictFalse
		case p.Verdict == api.VerdictUnknown:
			verdict = api.VerdictUnknown
		}
	}
	return verdict
}

func every(int, record.AggregatedComponent) bool { return true }

// Verify recomputes an aggregate from what is stored.
func (v *view) Verify(ctx context.Context, id string) (*api.Verification, error) {
	return v.verify(ctx, id, fetchNothing)
}

// verify fetches what is not here by fetch.
func (v *view) verify(ctx context.Context, id string, fetch func(context.Context, []record.Blob, peer.ID) error) (*api.Verification, error) {
	a, err := v.findAggregate(id)
	if err != nil {
		return nil, err
	}
	out, err := newVerifier(v.store, v.genesis, v.recent, fetch).run(ctx, a, every)
	if err != nil {
		return nil, fmt.Errorf("verify %s: %w", a.cid, err)
	}
	out.AuthorName = v.name(a.Author)
	for _, d := range v.recent.disputesOf(a.cid) {
		out.Disputes = append(out.Disputes, api.Dispute{
			Author: d.Author.String(), AuthorName: v.name(d.Author), Created: d.Created,
			Component: d.body.Component, Signature: d.body.Signature, Reason: d.body.Reason,
		})
	}
	return out, nil
}

package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
	"golang.org/x/sync/errgroup"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

const (
	// maxComponent bounds one component's blob, maxSupervision and maxCheckpoint the other blobs of an aggregate.
	maxComponent   = 256 << 20
	maxSupervision = 1 << 30
	maxCheckpoint  = 4 << 30
	// headerSlack is how much a component's blob may be larger than its float32 values.
	headerSlack = 1 << 20
	// mostPerByte is how many values a byte of a blob of whole values may stand for: a small blob must not take much memory.
	mostPerByte = 64
	// parallelFetches bounds the blobs that a learner fetches at once.
	parallelFetches = 4
)

var (
	// errBadBlob says that a blob has the CID it should have, and content that it should not.
	errBadBlob = errors.New("unusable content")
	// errNotFetched says that no member in reach could serve a blob.
	errNotFetched = errors.New("not fetched")
)

// putComponent stores the blob of c, and gives what a record says of it.
func putComponent(store *storage.Store, c adapter.Component, b method.Blob) (record.Component, error) {
	blob, err := store.PutBlobBytes(b.Bytes)
	if err != nil {
		return record.Component{}, fmt.Errorf("store component %s: %w", c.Name, err)
	}
	return record.Component{Name: c.Name, Signature: c.Signature, Codec: b.Codec, Params: c.Params(), Blob: blob}, nil
}

// checkComponent refuses, before anything is fetched, a component that could not be used, or is not in the federation's codec.
func checkComponent(c record.Component, codec string) error {
	switch {
	case c.Codec != codec:
		return fmt.Errorf("component %s: %w: it is encoded as %q, the federation's codec is %q", c.Name, errBadBlob, c.Codec, codec)
	case c.Params < 1 || c.Params > maxComponent/4 || c.Blob.Bytes > 4*c.Params+headerSlack,
		!adapter.OfDifferences(codec) && c.Params > mostPerByte*c.Blob.Bytes: // the others are as large as their references
		return fmt.Errorf("component %s: %w: %d bytes for %d parameters", c.Name, errBadBlob, c.Blob.Bytes, c.Params)
	}
	return nil
}

// readComponent decodes a stored component, and checks that it is what the record says. reference is for codecs of differences.
func readComponent(store *storage.Store, c record.Component, reference adapter.Component) (adapter.Component, error) {
	got, err := openComponent(store, c, reference, new(adapter.Decoder))
	if err != nil {
		return adapter.Component{}, err
	}
	if err := got.Check(); err != nil {
		return adapter.Component{}, fmt.Errorf("component %s: %w: %w", c.Name, errBadBlob, err)
	}
	return got, nil
}

// openComponent is readComponent by a decoder: what it gives is good until the decoder's next use, and may hold values that are not finite.
func openComponent(store *storage.Store, c record.Component, reference adapter.Component, d *adapter.Decoder) (adapter.Component, error) {
	var none adapter.Component
	if adapter.OfDifferences(c.Codec) && c.Params != reference.Params() {
		return none, fmt.Errorf("component %s: %w: %d parameters; what it is the difference to has %d", c.Name, errBadBlob, c.Params, reference.Params())
	}
	raw, err := store.ReadBlob(c.Blob.CID, c.Blob.Bytes)
	if err != nil {
		return none, fmt.Errorf("component %s: read blob %s: %w", c.Name, c.Blob.CID, err)
	}
	got, err := method.Blob{Codec: c.Codec, Bytes: raw}.OpenBy(d, reference, c.Params)
	if err != nil {
		return none, fmt.Errorf("component %s: %w: %w", c.Name, errBadBlob, err)
	}
	if got.Name != c.Name || got.Signature != c.Signature || got.Params() != c.Params {
		return none, fmt.Errorf("component %s: %w: the blob holds %s with signature %s and %d parameters, the record says %s and %d",
			c.Name, errBadBlob, got.Name, got.Signature, got.Params(), c.Signature, c.Params)
	}
	return got, nil
}

// partOf is a stored component as an input of a mean, which reads it when its turn comes.
func partOf(store *storage.Store, c record.Component, reference adapter.Component) method.Part {
	p := method.Part{Name: c.Name, Signature: c.Signature, Open: func(d *adapter.Decoder) (adapter.Component, error) {
		return openComponent(store, c, reference, d)
	}}
	if hash, err := multihash.Decode(c.Blob.CID.Hash()); err == nil { // a blob of another CID than a SHA-256 cannot be stored
		copy(p.Digest[:], hash.Digest)
	}
	return p
}

// fetchBlobs brings blobs into the store, a few at a time, asking author first.
func (n *Node) fetchBlobs(ctx context.Context, blobs []record.Blob, author peer.ID) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelFetches)
	for _, b := range blobs {
		if n.store.HasBlob(b.CID) {
			continue
		}
		g.Go(func() error {
			if err := n.network.FetchBlob(ctx, b, []peer.ID{author}, nil); err != nil {
				return fmt.Errorf("blob %s: %w", b.CID, notFetched(err))
			}
			return nil
		})
	}
	return g.Wait()
}

// notFetched marks the error of a fetch as errNotFetched, unless there is no room here: then nobody else is to blame, and an aggregate must not be
// passed over as out of reach.
func notFetched(err error) error {
	if noRoom(err) {
		return err
	}
	return fmt.Errorf("%w: %w", errNotFetched, err)
}

// decoding is held while a delta is decoded to see whether it can be: memory has to have room for one component, however many arrive.
var decoding sync.Mutex

// fetchDelta brings a delta's blobs, and what its differences are to, and sees whether they can be decoded. An error that Is errBadBlob is
// for good.
func (n *Node) fetchDelta(ctx context.Context, d *deltaEntry, origins *origins) (*method.Input, error) {
	in := &method.Input{ID: d.cid.String(), Round: d.body.Round, Modalities: d.body.Modalities, Rows: int(min(d.body.Rows, maxRows))}
	blobs := make([]record.Blob, len(d.body.Components))
	for i, c := range d.body.Components {
		if kind, _, _ := strings.Cut(c.Name, "/"); !slices.Contains(n.genesis.Share, kind) {
			return nil, fmt.Errorf("component %s: %w: the federation does not share it", c.Name, errBadBlob)
		}
		if err := checkComponent(c, n.genesis.codec()); err != nil {
			return nil, err
		}
		blobs[i] = c.Blob
	}
	if err := n.fetchBlobs(ctx, blobs, d.Author); err != nil {
		return nil, err
	}
	for _, c := range d.body.Components {
		reference, err := origins.reference(ctx, d, c)
		if err != nil {
			return nil, fmt.Errorf("component %s: %w", c.Name, err)
		}
		decoding.Lock()
		_, err = readComponent(n.store, c, reference)
		decoding.Unlock()
		if err != nil {
			return nil, err
		}
		in.Parts = append(in.Parts, partOf(n.store, c, reference))
	}
	return in, nil
}

// maxRows bounds the row counts that a peer may claim: they are weights.
const maxRows = 1 << 30

// fetchAggregate brings the parts of an aggregate that want accepts, and its supervision, and decodes them.
func (n *Node) fetchAggregate(ctx context.Context, a *aggregateEntry, want func(record.Component) bool) (*method.Aggregate, error) {
	out := &method.Aggregate{Round: a.body.Round, Metrics: a.body.Metrics}
	var parts []record.AggregatedComponent
	var blobs []record.Blob
	for _, c := range a.body.Components {
		if want(c.Component) {
			if err := checkComponent(c.Component, n.genesis.method.AggregateCodec); err != nil {
				return nil, err
			}
			parts, blobs = append(parts, c), append(blobs, c.Blob)
		}
	}
	sup := a.body.Supervision
	if sup.CID.Defined() {
		if sup.Bytes > maxSupervision {
			return nil, fmt.Errorf("supervision: %w: %d bytes are too many", errBadBlob, sup.Bytes)
		}
		blobs = append(blobs, sup)
	}
	if err := n.fetchBlobs(ctx, blobs, a.Author); err != nil {
		return nil, err
	}
	for _, c := range parts {
		part, err := readComponent(n.store, c.Component, adapter.Component{})
		if err != nil {
			return nil, err
		}
		out.Components = append(out.Components, method.Averaged{Component: part, Rule: c.Rule})
	}
	if sup.CID.Defined() {
		b, err := n.store.ReadBlob(sup.CID, sup.Bytes)
		if err != nil {
			return nil, fmt.Errorf("supervision: read blob %s: %w", sup.CID, err)
		}
		most := n.genesis.method.MaxSupervision(int(min(n.genesis.Data.Rows, maxRows)))
		if out.Supervision, err = method.DecodeSupervision(b, most); err != nil {
			return nil, fmt.Errorf("supervision: %w: %w", errBadBlob, err)
		}
	}
	return out, nil
}

// blobsOf lists all blobs of an aggregate.
func blobsOf(a *record.Aggregate) []record.Blob {
	var blobs []record.Blob
	for _, c := range a.Components {
		blobs = append(blobs, c.Blob)
	}
	for _, b := range []record.Blob{a.Supervision, a.Checkpoint} {
		if b.CID.Defined() {
			blobs = append(blobs, b)
		}
	}
	return blobs
}

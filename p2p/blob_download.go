package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
)

// download is the transfer of one flight. Its bytes may come from several peers, one after the other. If the whole then does not match the
// CID, the guilty one is only known if all came from one peer; so the second attempt takes all bytes from one peer, discarding them
// when it has to go to the next.
type download struct {
	b        *blobService
	f        *flight
	partial  *storage.Partial
	source   peer.ID // of all bytes of partial; empty if there are none
	mixed    bool    // bytes of several peers, or of an earlier run
	strict   bool    // mixed bytes are not allowed any more
	furthest int64   // highest offset since the last attempt at the whole failed
	busy     int     // passes that brought nothing while some peer was busy
	failures map[peer.ID]error
	pieces   *pieces // that came, if it was tried so; until they are found right
}

func (b *blobService) openDownload(f *flight) (*download, error) {
	d := &download{b: b, f: f, failures: make(map[peer.ID]error)}
	if err := d.reopen(); err != nil {
		return nil, err
	}
	if d.partial.Offset() > f.want.Bytes {
		if err := d.restart(); err != nil {
			return nil, err
		}
	}
	d.mixed = d.partial.Offset() > 0
	d.furthest = d.partial.Offset()
	f.advance(d.furthest)
	return d, nil
}

func (d *download) reopen() error {
	partial, err := d.b.cfg.store.PartialBlob(d.f.want.CID)
	if err == nil {
		d.partial = partial
	}
	return err
}

// restart throws away what has come.
func (d *download) restart() error {
	if err := d.partial.Discard(); err != nil {
		return err
	}
	d.source, d.mixed = "", false
	return d.reopen()
}

// pass asks each candidate that may still help, once. more tells that the blob is not complete and another pass may help.
func (d *download) pass(ctx context.Context) (more bool, err error) {
	if d.partial.Offset() == d.f.want.Bytes { // an earlier run ended just before committing
		if done, err := d.commit(); done || err != nil {
			return false, err
		}
	}
	busy := false
	for _, p := range d.b.candidates(d.f) {
		if errors.Is(d.failures[p], errUnusable) {
			continue
		}
		err := d.from(ctx, p)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		var disk diskError
		if errors.As(err, &disk) {
			return false, disk.error
		}
		if err == nil {
			if done, err := d.commit(); done || err != nil {
				return false, err
			}
			more = true // from others: p is not asked again, or the faulty bytes may have been another's
			continue
		}
		d.failures[p] = err
		busy = busy || errors.Is(err, errBusy)
		if d.partial.Offset() > d.furthest {
			d.furthest = d.partial.Offset()
			more = true
		}
	}
	if busy && !more {
		d.busy++
		more = d.busy <= maxBusyPasses
	}
	if more {
		return true, nil
	}
	return false, d.unavailable()
}

// unavailable tells why each peer failed.
func (d *download) unavailable() error {
	if len(d.failures) == 0 {
		return fmt.Errorf("%w: nobody to ask; is this node connected? see `mlecs peers`", ErrUnavailable)
	}
	asked := make([]peer.ID, 0, len(d.failures))
	for p := range d.failures {
		asked = append(asked, p)
	}
	slices.Sort(asked)
	err := ErrUnavailable
	for _, p := range asked {
		err = fmt.Errorf("%w; %s: %w", err, p, d.failures[p])
	}
	return err
}

// commit verifies the complete content. done tells that it is stored; if not, the partial is empty and open again.
func (d *download) commit() (done bool, err error) {
	err = d.partial.Commit()
	if err == nil {
		if d.strict && d.pieces != nil {
			err = d.accuse()
		}
		return true, err
	}
	if !errors.Is(err, storage.ErrCorrupt) {
		return false, err
	}
	if !d.mixed && d.source != "" {
		d.b.faults.add(d.f.want.CID, d.source)
		d.b.cfg.reject(d.source, d.f.want.CID)
		d.failures[d.source] = fmt.Errorf("%w: %w", errUnusable, storage.ErrCorrupt)
	} else {
		d.b.cfg.log.Info("blob does not match its CID, but came from several peers; fetching it from one", "blob", d.f.want.CID)
	}
	d.source, d.mixed, d.strict, d.furthest = "", false, true, 0
	d.f.advance(0)
	return false, d.reopen()
}

// errBusy is the answer of a peer with no stream to spare.
var errBusy = errors.New("peer is busy")

// diskError is a failure of this node's disk, which no other peer mends.
type diskError struct{ error }

// from appends bytes of one peer until the content is complete.
func (d *download) from(ctx context.Context, p peer.ID) error {
	s, err := d.b.cfg.host.NewStream(network.WithNoDial(ctx, "blob"), p, blobProtocol)
	if err != nil {
		return err
	}
	defer resetOn(ctx, s)()
	if err = d.ask(s, p); err == nil {
		err = d.receive(s)
	}
	if err != nil {
		s.Reset()
		return err
	}
	s.Close()
	return nil
}

// ask requests what is missing, or everything if the bytes that are there must not be mixed with p's.
func (d *download) ask(s network.Stream, p peer.ID) error {
	s.SetDeadline(time.Now().Add(d.b.cfg.idle))
	offset := d.partial.Offset()
	if d.strict && d.source != p {
		offset = 0
	}
	if err := writeMessage(s, &blobRequest{CID: d.f.want.CID, Offset: offset}); err != nil {
		return err
	}
	var reply blobReply
	if err := readLimited(s, maxBlobMessage, &reply); err != nil {
		return err
	}
	switch {
	case reply.Status == blobBusy:
		return errBusy
	case reply.Status != blobFollows:
		return fmt.Errorf("%w: it answers %q", errUnusable, printable(reply.Status))
	case reply.Size != d.f.want.Bytes:
		return fmt.Errorf("%w: it has %d bytes, %d are announced", errUnusable, reply.Size, d.f.want.Bytes)
	}
	if offset < d.partial.Offset() {
		if err := d.restart(); err != nil {
			return diskError{err}
		}
	}
	if d.source == "" {
		d.source = p
	}
	d.mixed = d.mixed || d.source != p
	return nil
}

func (d *download) receive(s network.Stream) error {
	total := d.f.want.Bytes
	chunk := make([]byte, blobChunk)
	for d.partial.Offset() < total {
		s.SetReadDeadline(time.Now().Add(d.b.cfg.idle))
		n, err := io.ReadFull(s, chunk[:min(total-d.partial.Offset(), blobChunk)])
		if n > 0 {
			if _, err := d.partial.Write(chunk[:n]); err != nil {
				return diskError{err}
			}
			d.f.advance(d.partial.Offset())
		}
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", d.partial.Offset(), total, err)
		}
	}
	return nil
}

// faults remembers who sent bytes that do not match a blob's CID, so as not to ask them for it again.
type faults struct {
	mu    sync.Mutex
	blobs *lru.Cache[cid.Cid, []peer.ID]
}

func newFaults() *faults {
	blobs, err := lru.New[cid.Cid, []peer.ID](rememberedFaults)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &faults{blobs: blobs}
}

func (f *faults) add(blob cid.Cid, p peer.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	peers, _ := f.blobs.Get(blob)
	f.blobs.Add(blob, append(slices.Clone(peers), p))
}

func (f *faults) has(blob cid.Cid, p peer.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	peers, _ := f.blobs.Get(blob)
	return slices.Contains(peers, p)
}

package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
)

// Passes over the peers for one piece, while some are busy.
const (
	piecePause  = 50 * time.Millisecond
	piecePasses = 10 // pauses grow: about half a minute
)

// gather fetches what is missing piece by piece, from several peers at a time. It ends with an error when nobody has some piece; what came
// before that piece is in the partial, which the next way of fetching goes on from.
func (d *download) gather(ctx context.Context) error {
	x := newPieces(d.partial, d.f.want.Bytes)
	resumed := d.partial.Offset() > 0
	d.b.handed.relays(d.f.want.CID)
	d.f.pieces.Store(x)
	defer func() {
		x.end()
		d.f.pieces.Store(nil)
		d.pieces = x
		sources := x.sources()
		switch {
		case len(sources) == 1 && !resumed:
			d.source = sources[0]
		case len(sources) > 0:
			d.mixed = true
		}
		d.furthest = d.partial.Offset()
	}()
	all, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, x.end)()
	var absent absences
	for k := range piecesSought + piecesTaken {
		all.Go(func() error {
			for {
				i, ok := x.take(k >= piecesSought)
				if !ok {
					return nil
				}
				if err := d.fetchPiece(ctx, x, i, &absent); err != nil {
					return fmt.Errorf("piece %d: %w", i, err)
				}
				d.f.advance(x.done())
			}
		})
	}
	return all.Wait()
}

// fetchPiece brings a piece that was taken: from whoever is named, or else from whoever may have it. It is given back if that leads no further yet.
func (d *download) fetchPiece(ctx context.Context, x *pieces, i int64, absent *absences) error {
	from, by := x.holderOf(i), d.seekPiece
	if from != "" {
		by = d.takePiece
	}
	data, from, err := by(ctx, x, i, absent)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errElsewhere):
		x.giveBack(i, false)
		return nil
	case errors.Is(err, errNoPiece):
		x.giveBack(i, true)
		return nil
	case err != nil:
		return err
	}
	if err := x.put(i, data, from); err != nil {
		return diskError{err}
	}
	return nil
}

// takePiece fetches a piece from who is named.
func (d *download) takePiece(ctx context.Context, x *pieces, i int64, _ *absences) ([]byte, peer.ID, error) {
	p := x.holderOf(i)
	if p == d.b.cfg.host.ID() || d.b.faults.has(d.f.want.CID, p) {
		return nil, "", errNoPiece
	}
	data, err := d.askPiece(ctx, x, p, i, false)
	if err != nil {
		return nil, "", fmt.Errorf("%w from %s: %w", errNoPiece, p, err)
	}
	return data, p, nil
}

// absences are the peers that are of no use for a blob: they do not have it, or do not know of pieces.
type absences struct {
	mu    sync.Mutex
	peers map[peer.ID]bool
}

func (a *absences) add(p peer.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.peers == nil {
		a.peers = make(map[peer.ID]bool)
	}
	a.peers[p] = true
}

func (a *absences) has(p peer.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.peers[p]
}

// seekPiece fetches a piece from whoever has it; errElsewhere if one of them tells who.
func (d *download) seekPiece(ctx context.Context, x *pieces, i int64, absent *absences) ([]byte, peer.ID, error) {
	pause := piecePause
	for range piecePasses {
		busy := false
		for _, p := range slices.DeleteFunc(d.b.candidates(d.f), absent.has) {
			data, err := d.askPiece(ctx, x, p, i, x.isDoubted(i))
			switch {
			case err == nil, errors.Is(err, errElsewhere), ctx.Err() != nil:
				return data, p, err
			case errors.Is(err, errBusy):
				busy = true
			default:
				absent.add(p)
			}
		}
		if !busy {
			break
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, lastPause)
		case <-ctx.Done():
			return nil, "", ctx.Err()
		}
	}
	return nil, "", ErrUnavailable
}

// askPiece asks one peer for a piece, and learns whom it names.
func (d *download) askPiece(ctx context.Context, x *pieces, p peer.ID, i int64, insist bool) ([]byte, error) {
	s, err := d.b.cfg.host.NewStream(network.WithNoDial(ctx, "piece"), p, pieceProtocol)
	if err != nil {
		return nil, err
	}
	defer resetOn(ctx, s)()
	data, err := d.receivePiece(s, x, pieceRequest{CID: d.f.want.CID, Piece: i, From: x.first(), Insist: insist})
	if err != nil && !errors.Is(err, errElsewhere) {
		s.Reset()
		return nil, err
	}
	s.Close()
	return data, err
}

// errElsewhere is the answer of a peer that names another.
var errElsewhere = errors.New("another peer has the piece")

func (d *download) receivePiece(s network.Stream, x *pieces, req pieceRequest) ([]byte, error) {
	s.SetDeadline(time.Now().Add(d.b.cfg.idle))
	if err := writeMessage(s, &req); err != nil {
		return nil, err
	}
	var reply pieceReply
	if err := readLimited(s, maxPieceReply, &reply); err != nil {
		return nil, err
	}
	named, err := reply.named(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnusable, err)
	}
	x.learn(named)
	switch {
	case reply.Status == blobBusy:
		return nil, errBusy
	case reply.Status == pieceElsewhere && named[req.Piece] != "":
		return nil, errElsewhere
	case reply.Status != blobFollows:
		return nil, fmt.Errorf("%w: it answers %q", errUnusable, printable(reply.Status))
	case reply.Size != d.f.want.Bytes:
		return nil, fmt.Errorf("%w: it has %d bytes, %d are announced", errUnusable, reply.Size, d.f.want.Bytes)
	}
	data := make([]byte, pieceSize(reply.Size, req.Piece))
	if n, err := io.ReadFull(s, data); err != nil {
		return nil, fmt.Errorf("after %d of %d bytes of a piece: %w", n, len(data), err)
	}
	return data, nil
}

// accuse blames who sent wrong pieces, when the right content is there.
func (d *download) accuse() error {
	f, _, err := d.b.cfg.store.OpenBlob(d.f.want.CID)
	if err != nil {
		return err
	}
	defer f.Close()
	guilty, err := d.pieces.false(f)
	for _, p := range guilty {
		d.b.faults.add(d.f.want.CID, p)
		d.b.cfg.reject(p, d.f.want.CID)
	}
	return err
}

package p2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

// ErrUnavailable is returned by FetchBlob when no member in reach could give the blob.
var ErrUnavailable = errors.New("no member in reach could give the blob")

// Pauses between passes over the peers, which follow while some are busy or a pass brought bytes.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second

	maxBusyPasses = 12 // about 45 seconds
)

// flight is one running fetch of a blob, shared by all who want it.
type flight struct {
	want   record.Blob
	cancel context.CancelFunc
	done   chan struct{} // closed when err is final
	err    error
	pieces atomic.Pointer[pieces] // while it is fetched piece by piece

	mu      sync.Mutex
	waiters map[*waiter]struct{} // when the last leaves, the flight ends
	hints   []peer.ID
}

// waiter is one caller of Fetch.
type waiter struct{ progress func(done, total int64) }

// Fetch brings a blob into the store. Peers in hint are asked first, then the other members. It ends when the blob is stored (nil), ctx
// ends, the disk refuses, or no member could give the blob (ErrUnavailable, with a reason for each). Calls for one blob share one
// transfer, which goes on while any of them waits; what has come when it ends is kept and resumed by the next. progress may be nil;
// it is called in the transfer's goroutine and must be quick.
func (b *blobService) Fetch(ctx context.Context, want record.Blob, hint []peer.ID, progress func(done, total int64)) error {
	if want.Bytes < 0 || want.Bytes > record.MaxBlobBytes {
		return fmt.Errorf("fetch blob %s: size %d is out of range", want.CID, want.Bytes)
	}
	if b.cfg.store.HasBlob(want.CID) {
		if progress != nil {
			progress(want.Bytes, want.Bytes)
		}
		return nil
	}
	if err := b.share(ctx, want, hint, &waiter{progress}); err != nil {
		return fmt.Errorf("fetch blob %s: %w", want.CID, err)
	}
	return nil
}

// share waits for the flight of a blob, or for ctx.
func (b *blobService) share(ctx context.Context, want record.Blob, hint []peer.ID, w *waiter) error {
	for {
		f, joined, err := b.join(want, hint, w)
		if err != nil {
			return err
		}
		select {
		case <-f.done:
			if joined {
				return f.err
			}
		case <-ctx.Done():
			f.leave(w)
			return ctx.Err()
		}
	}
}

// join adds w to the flight of a blob, beginning one if there is none. joined is false if a flight is ending because all others have
// left it: another can begin when that one has let go of the partial file.
func (b *blobService) join(want record.Blob, hint []peer.ID, w *waiter) (f *flight, joined bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, false, ErrClosed
	}
	if f, ok := b.flights[want.CID]; ok {
		if f.want.Bytes != want.Bytes {
			return nil, false, fmt.Errorf("%d bytes are wanted, while a transfer of %d is running", want.Bytes, f.want.Bytes)
		}
		return f, f.board(w, hint), nil
	}
	ctx, cancel := context.WithCancel(b.ctx)
	f = &flight{
		want: want, cancel: cancel, done: make(chan struct{}),
		waiters: map[*waiter]struct{}{w: {}}, hints: slices.Clone(hint),
	}
	b.flights[want.CID] = f
	b.tasks.Go(func() {
		defer cancel()
		if f.err = b.run(ctx, f); b.ctx.Err() != nil && f.err != nil {
			f.err = ErrClosed
		}
		b.mu.Lock()
		delete(b.flights, want.CID)
		b.mu.Unlock()
		close(f.done)
	})
	return f, true, nil
}

// board adds a waiter; false if the flight is ending for lack of any.
func (f *flight) board(w *waiter, hint []peer.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiters) == 0 {
		return false
	}
	f.waiters[w] = struct{}{}
	f.hints = append(f.hints, hint...)
	return true
}

func (f *flight) leave(w *waiter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiters, w)
	if len(f.waiters) == 0 {
		f.cancel()
	}
}

// advance tells the waiters how far the flight is.
func (f *flight) advance(offset int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.waiters {
		if w.progress != nil {
			w.progress(offset, f.want.Bytes)
		}
	}
}

// run fetches when it is the flight's turn.
func (b *blobService) run(ctx context.Context, f *flight) error {
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	d, err := b.openDownload(f)
	if err != nil {
		return err
	}
	defer func() { d.partial.Close() }()
	if missing := f.want.Bytes - d.partial.Offset(); f.want.Bytes >= piecedFrom && missing > 0 {
		var disk diskError
		if err := d.gather(ctx); errors.As(err, &disk) {
			return disk.error
		} else if err != nil && ctx.Err() == nil {
			b.cfg.log.Debug("blob not fetched by pieces; asking for the whole", "blob", f.want.CID, "err", err)
		}
	}
	pause := firstPause
	for {
		more, err := d.pass(ctx)
		if err != nil || !more {
			return err
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, lastPause)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// candidates are whom to ask: hints, then members, each once, without this node and those who sent other bytes for this blob.
func (b *blobService) candidates(f *flight) []peer.ID {
	members := b.cfg.members()
	f.mu.Lock()
	all := slices.Concat(f.hints, members)
	f.mu.Unlock()
	seen := map[peer.ID]bool{b.cfg.host.ID(): true}
	return slices.DeleteFunc(all, func(p peer.ID) bool {
		skip := seen[p] || b.faults.has(f.want.CID, p)
		seen[p] = true
		return skip
	})
}

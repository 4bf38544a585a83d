package p2p

import (
	"errors"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
)

// pieces are those of a blob that is being fetched piece by piece. The first ones are in the partial file; those that came before their turn
// are in memory. Safe for concurrent use.
type pieces struct {
	size  int64 // of the blob
	count int64
	seed  maphash.Seed

	mu      sync.Mutex
	partial *storage.Partial
	next    int64                   // the first that is not whole in the partial
	early   map[int64][]byte        // beyond next
	asked   map[int64]chan struct{} // closed when the piece is there, or never will be
	holder  map[int64]peer.ID       // who was named
	doubted map[int64]bool          // pieces for which that was of no use
	origin  map[int64]origin
	over    bool // no more will come
	turn    *sync.Cond
}

// origin is who sent a piece, and what it looked like, to tell later whose bytes were wrong.
type origin struct {
	peer peer.ID
	sum  uint64
}

// errNoPiece marks a piece that was expected and did not come.
var errNoPiece = errors.New("the piece did not come")

func newPieces(partial *storage.Partial, size int64) *pieces {
	x := &pieces{
		size: size, count: countPieces(size), seed: maphash.MakeSeed(), partial: partial, next: partial.Offset() / pieceBytes,
		early: make(map[int64][]byte), asked: make(map[int64]chan struct{}), origin: make(map[int64]origin),
		holder: make(map[int64]peer.ID), doubted: make(map[int64]bool),
	}
	x.turn = sync.NewCond(&x.mu)
	return x
}

// take chooses a piece to ask for, at random among those next in line: one that somebody named is said to have, or one of which that is not
// known. It waits while there is none of the kind. ok is false when no more will come.
func (x *pieces) take(named bool) (i int64, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for !x.over && x.next < x.count {
		var free []int64
		for i := x.next; i < min(x.next+pieceWindow, x.count); i++ {
			if x.asked[i] == nil && (x.holder[i] != "") == named {
				free = append(free, i)
			}
		}
		if len(free) > 0 {
			i := free[rand.IntN(len(free))]
			x.asked[i] = make(chan struct{})
			return i, true
		}
		x.turn.Wait()
	}
	return 0, false
}

// learn notes who is said to have pieces.
func (x *pieces) learn(holders map[int64]peer.ID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, p := range holders {
		if i >= x.next && i < x.count && !x.doubted[i] {
			x.holder[i] = p
		}
	}
	x.turn.Broadcast()
}

// holderOf is who is said to have a piece.
func (x *pieces) holderOf(i int64) peer.ID {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.holder[i]
}

// first is the first piece that is missing.
func (x *pieces) first() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.next
}

// giveBack makes a piece one that has to be asked for again: with doubt, of somebody else than those that are named.
func (x *pieces) giveBack(i int64, doubt bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return
	}
	close(x.asked[i])
	delete(x.asked, i)
	if doubt {
		x.doubted[i] = true
		delete(x.holder, i)
	}
	x.turn.Broadcast()
}

// isDoubted tells whether those that are named could not give a piece.
func (x *pieces) isDoubted(i int64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.doubted[i]
}

// put takes in a piece. An error is one of the disk.
func (x *pieces) put(i int64, data []byte, from peer.ID) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return nil
	}
	x.early[i], x.origin[i] = data, origin{from, maphash.Bytes(x.seed, data)}
	close(x.asked[i])
	for ; x.early[x.next] != nil; x.next++ {
		done := x.partial.Offset() - x.next*pieceBytes // of this piece, by an earlier run
		if _, err := x.partial.Write(x.early[x.next][done:]); err != nil {
			return err
		}
		delete(x.early, x.next)
	}
	x.turn.Broadcast()
	return nil
}

// end lets go of the partial and of who waits for pieces.
func (x *pieces) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return
	}
	x.over = true
	for i, c := range x.asked {
		if i >= x.next && x.early[i] == nil {
			close(c)
		}
	}
	x.turn.Broadcast()
}

// done is how many bytes are in the partial.
func (x *pieces) done() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.partial.Offset()
}

// expects tells whether a piece is here, or was asked for.
func (x *pieces) expects(i int64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !x.over && i >= 0 && i < x.count && (i < x.next || x.asked[i] != nil)
}

// read gives a piece, for which it waits if it was asked for.
func (x *pieces) read(i int64, patience time.Duration) ([]byte, error) {
	x.mu.Lock()
	came := x.asked[i]
	x.mu.Unlock()
	if came != nil {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-came:
		case <-timer.C:
			return nil, errNoPiece
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if data := x.early[i]; data != nil {
		return data, nil
	}
	if i >= x.next {
		return nil, errNoPiece
	}
	data := make([]byte, pieceSize(x.size, i))
	if _, err := x.partial.ReadAt(data, i*pieceBytes); err != nil {
		return nil, err
	}
	return data, nil
}

// sources are who sent pieces.
func (x *pieces) sources() []peer.ID {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []peer.ID
	for _, o := range x.origin {
		if !slices.Contains(all, o.peer) {
			all = append(all, o.peer)
		}
	}
	return all
}

// false are who sent pieces that the right content does not have.
func (x *pieces) false(content io.ReadSeeker) ([]peer.ID, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var guilty []peer.ID
	data := make([]byte, pieceBytes)
	for i, o := range x.origin {
		piece := data[:pieceSize(x.size, i)]
		if _, err := content.Seek(i*pieceBytes, io.SeekStart); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(content, piece); err != nil {
			return nil, err
		}
		if maphash.Bytes(x.seed, piece) != o.sum && !slices.Contains(guilty, o.peer) {
			guilty = append(guilty, o.peer)
		}
	}
	return guilty, nil
}

package p2p

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// pieceProtocol moves one piece of a blob per stream:
//
//	asker  -> pieceRequest
//	holder -> pieceReply, and if its status is blobFollows the piece
//
// It is for blobs that many want at once, as they want an aggregate, and that would otherwise all come from the one node that has it. Such a
// node gives each piece away once, and tells all askers whom it gave which; as askers begin with different pieces, its uplink carries the blob
// about once, and the rest goes from asker to asker.
const pieceProtocol = "/mlecs/piece/1"

const (
	pieceBytes  = 32 << 10
	piecedFrom  = 1 << 20 // smaller blobs go whole
	pieceWindow = 512     // how many pieces beyond the first that is missing are asked for, and told of: those are held in memory

	piecesSought  = 2               // asked for at a time, of one blob, of whoever may have it: few, so that all askers get their part
	piecesTaken   = 32              // ... of peers that were named
	piecePatience = 3 * time.Second // with a named peer that is still waiting for a piece itself
	servedPieces  = 512             // streams served at once
	piecesToOne   = 64              // ... to one peer

	handedBlobs   = 64 // blobs of which it is remembered who was given what
	handedPieces  = 8  // peers that are remembered of one piece
	namedPeers    = 64 // at most, in one reply
	maxPieceReply = 128 + namedPeers*64 + 2*pieceWindow
)

type pieceRequest struct {
	CID    cid.Cid `cbor:"cid"`
	Piece  int64   `cbor:"piece"`  // number, from 0; the last one may be shorter
	From   int64   `cbor:"from"`   // number of the first piece that the asker lacks
	Insist bool    `cbor:"insist"` // whoever was named could not give it
}

// pieceReply has with it who was given which of the pieces from From on.
type pieceReply struct {
	Status string   `cbor:"status"` // of a blobReply, or pieceElsewhere
	Size   int64    `cbor:"size"`   // of the whole blob; 0 if the status is another than blobFollows
	Peers  [][]byte `cbor:"peers"`
	Given  []byte   `cbor:"given"` // for each piece 0, or the number of a peer in Peers, from 1
}

// pieceElsewhere: another has the piece, or is about to. A peer that does not have it, or from which the asker may not have it, says that it is absent.
const pieceElsewhere = "elsewhere"

// countPieces of a blob.
func countPieces(size int64) int64 { return (size + pieceBytes - 1) / pieceBytes }

// pieceSize is that of piece i of a blob, which has it.
func pieceSize(size, i int64) int64 { return min(pieceBytes, size-i*pieceBytes) }

// handed remembers who was given which pieces, so as to name them to others.
type handed struct {
	mu    sync.Mutex
	blobs *lru.Cache[cid.Cid, *handedBlob]
}

type handedBlob struct {
	relayed bool // this node has it from others, and gives it to whoever asks
	pieces  map[int64][]peer.ID
}

func newHanded() *handed {
	blobs, err := lru.New[cid.Cid, *handedBlob](handedBlobs)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &handed{blobs: blobs}
}

func (h *handed) of(blob cid.Cid) *handedBlob {
	b, ok := h.blobs.Get(blob)
	if !ok {
		b = &handedBlob{pieces: make(map[int64][]peer.ID)}
		h.blobs.Add(blob, b)
	}
	return b
}

// relays notes that this node gets a blob from others.
func (h *handed) relays(blob cid.Cid) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.of(blob).relayed = true
}

// give decides whether p is to have a piece, which is noted, or another that has it is to be named.
func (h *handed) give(p peer.ID, req pieceRequest) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.of(req.CID)
	has := b.pieces[req.Piece]
	if len(has) > 0 && !b.relayed && !req.Insist && !slices.Contains(has, p) {
		return false
	}
	if !slices.Contains(has, p) && len(has) < handedPieces {
		b.pieces[req.Piece] = append(has, p)
	}
	return true
}

// tell fills in who was given which pieces. Who has the blob from others leaves that to whom it has it from.
func (h *handed) tell(reply *pieceReply, p peer.ID, req pieceRequest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.of(req.CID)
	if b.relayed {
		return
	}
	number := make(map[peer.ID]byte)
	given, last := make([]byte, pieceWindow), 0
	for k := range given {
		others := slices.DeleteFunc(slices.Clone(b.pieces[req.From+int64(k)]), func(q peer.ID) bool { return q == p })
		if len(others) == 0 {
			continue
		}
		q := others[rand.IntN(len(others))]
		if number[q] == 0 {
			if len(number) == namedPeers {
				continue
			}
			number[q] = byte(len(number) + 1)
			reply.Peers = append(reply.Peers, []byte(q))
		}
		given[k], last = number[q], k+1
	}
	reply.Given = given[:last]
}

// named reads a reply to a request: who has which pieces.
func (r *pieceReply) named(req pieceRequest) (map[int64]peer.ID, error) {
	if len(r.Peers) > namedPeers || len(r.Given) > pieceWindow {
		return nil, fmt.Errorf("%d peers and %d pieces; at most %d and %d are named", len(r.Peers), len(r.Given), namedPeers, pieceWindow)
	}
	ids := make([]peer.ID, len(r.Peers))
	for i, raw := range r.Peers {
		id, err := peer.IDFromBytes(raw)
		if err != nil {
			return nil, fmt.Errorf("peer %d: %w", i, err)
		}
		ids[i] = id
	}
	all := make(map[int64]peer.ID)
	for k, n := range r.Given {
		if int(n) > len(ids) {
			return nil, fmt.Errorf("a piece is with peer %d of %d", n, len(ids))
		}
		if n > 0 {
			all[req.From+int64(k)] = ids[n-1]
		}
	}
	return all, nil
}

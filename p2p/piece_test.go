package p2p

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/mlecs/mlecs/storage/record"
)

// large is content of a few pieces more than it takes to be fetched in pieces, the last of which is short.
func large() []byte {
	b := make([]byte, piecedFrom+5*pieceBytes+77)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func (n *blobNode) holds(t testing.TB, want []byte) {
	t.Helper()
	f, size, err := n.store.OpenBlob(record.BlobCID(want))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, size)
	if _, err := io.ReadFull(f, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("another content of %d bytes is stored (%v)", size, err)
	}
}

// given is how many pieces of a blob n has given away.
func (n *blobNode) given(b record.Blob) (count int) {
	n.blobs.handed.mu.Lock()
	defer n.blobs.handed.mu.Unlock()
	for _, to := range n.blobs.handed.of(b.CID).pieces {
		count += len(to)
	}
	return count
}

func TestBlobGoesFromAskerToAsker(t *testing.T) {
	source := newBlobNode(t)
	want := large()
	blob := source.put(t, want)
	var askers []*blobNode
	for range 6 {
		n := newBlobNode(t)
		n.asks(t, source.host)
		for _, other := range askers {
			connect(t, n.host, other.host)
		}
		askers = append(askers, n)
	}
	var all errgroup.Group
	for _, n := range askers {
		all.Go(func() error { return n.blobs.Fetch(t.Context(), blob, nil, nil) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, n := range askers {
		n.holds(t, want)
		passed += n.given(blob)
	}
	pieces := int(countPieces(blob.Bytes))
	if once := source.given(blob); once < pieces || once > 2*pieces {
		t.Errorf("the source gave %d pieces away; the blob has %d, and six want it", once, pieces)
	}
	if passed < 3*pieces {
		t.Errorf("%d pieces of %d for each of six went from asker to asker", passed, pieces)
	}
}

// rogueHolder answers requests for pieces as f says.
func rogueHolder(t testing.TB, f func(s network.Stream, req pieceRequest)) *rogue {
	t.Helper()
	r := newRogue(t, func(s network.Stream, _ blobRequest) { writeMessage(s, &blobReply{Status: blobAbsent}) })
	r.SetStreamHandler(pieceProtocol, func(s network.Stream) {
		defer s.Close()
		var req pieceRequest
		if readLimited(s, maxBlobMessage, &req) == nil {
			f(s, req)
		}
	})
	return r
}

// givePiece is what an honest holder of content answers.
func givePiece(s network.Stream, req pieceRequest, content []byte) {
	writeMessage(s, &pieceReply{Status: blobFollows, Size: int64(len(content))})
	s.Write(content[req.Piece*pieceBytes:][:pieceSize(int64(len(content)), req.Piece)])
}

func TestPiecesOfWhoIsNamedInVain(t *testing.T) {
	want := large()
	gone := loopbackHost(t).ID()
	for name, named := range map[string]func(asker peer.ID) pieceReply{
		"a stranger": func(peer.ID) pieceReply { return pieceReply{Peers: [][]byte{[]byte(gone)}} },
		"the asker":  func(asker peer.ID) pieceReply { return pieceReply{Peers: [][]byte{[]byte(asker)}} },
	} {
		t.Run(name, func(t *testing.T) {
			var insisted atomic.Int32
			n := newBlobNode(t)
			n.asks(t, rogueHolder(t, func(s network.Stream, req pieceRequest) {
				if req.Insist {
					insisted.Add(1)
					givePiece(s, req, want)
					return
				}
				reply := named(s.Conn().RemotePeer())
				reply.Status, reply.Given = pieceElsewhere, make([]byte, req.Piece-req.From+1)
				reply.Given[req.Piece-req.From] = 1
				writeMessage(s, &reply)
			}).Host)
			if err := n.fetch(t, blobOf(want)); err != nil {
				t.Fatal(err)
			}
			n.holds(t, want)
			if got := int64(insisted.Load()); got != countPieces(int64(len(want))) {
				t.Errorf("%d pieces were asked for again", got)
			}
			if len(n.blamed()) != 0 {
				t.Errorf("blamed %v", n.blamed())
			}
		})
	}
}

// What a reply may not say makes its sender useless, and the blob comes from another.
func TestPieceRepliesThatCannotBe(t *testing.T) {
	want := large()
	for name, reply := range map[string]pieceReply{
		"elsewhere, and nobody named": {Status: pieceElsewhere},
		"a peer that is none":         {Status: pieceElsewhere, Peers: [][]byte{{1}}, Given: []byte{1}},
		"a peer beyond the list":      {Status: pieceElsewhere, Given: []byte{1}},
		"another size":                {Status: blobFollows, Size: 7},
		"another status":              {Status: "perhaps"},
	} {
		t.Run(name, func(t *testing.T) {
			honest := newBlobNode(t)
			honest.put(t, want)
			n := newBlobNode(t)
			n.asks(t, rogueHolder(t, func(s network.Stream, req pieceRequest) { writeMessage(s, &reply) }).Host, honest.host)
			if err := n.fetch(t, blobOf(want)); err != nil {
				t.Fatal(err)
			}
			n.holds(t, want)
		})
	}
}

// A wrong piece spoils the whole; the blob is then fetched from one peer, and who sent the piece is known by comparison.
func TestWhoSentAWrongPieceIsBlamed(t *testing.T) {
	want := large()
	wrong := bytes.Clone(want)
	wrong[3*pieceBytes+5] ^= 1
	liar := rogueHolder(t, func(s network.Stream, req pieceRequest) { givePiece(s, req, wrong) })
	var first atomic.Bool
	source := rogueHolder(t, func(s network.Stream, req pieceRequest) {
		if req.Piece == 3 && !req.Insist { // the liar is named for one piece
			first.Store(true)
			reply := pieceReply{Status: pieceElsewhere, Peers: [][]byte{[]byte(liar.Host.ID())}, Given: make([]byte, req.Piece-req.From+1)}
			reply.Given[req.Piece-req.From] = 1
			writeMessage(s, &reply)
			return
		}
		givePiece(s, req, want)
	})
	source.Host.SetStreamHandler(blobProtocol, func(s network.Stream) {
		defer s.Close()
		var req blobRequest
		if readLimited(s, maxBlobMessage, &req) == nil {
			serving(want, len(want))(s, req)
		}
	})
	n := newBlobNode(t)
	n.asks(t, source.Host)
	connect(t, n.host, liar.Host)
	if err := n.fetch(t, blobOf(want)); err != nil {
		t.Fatal(err)
	}
	n.holds(t, want)
	if got := n.blamed(); !first.Load() || !slices.Equal(got, []peer.ID{liar.Host.ID()}) {
		t.Errorf("blamed %v, the liar is %s", got, liar.Host.ID())
	}
}

func TestPiecesGoOnFromAnEarlierRun(t *testing.T) {
	want := large()
	for _, before := range []int{1, pieceBytes, pieceBytes + 3, len(want) - 1} {
		source, n := newBlobNode(t), newBlobNode(t)
		blob := source.put(t, want)
		p, err := n.store.PartialBlob(blob.CID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write(want[:before]); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		n.asks(t, source.host)
		if err := n.fetch(t, blob); err != nil {
			t.Fatal(err)
		}
		n.holds(t, want)
		if got, need := source.given(blob), int(countPieces(blob.Bytes))-before/pieceBytes; got != need {
			t.Errorf("%d bytes were there: %d pieces were asked for, %d are missing", before, got, need)
		}
	}
}

// A holder that stops in the middle leaves the rest to others, and what came is kept.
func TestPiecesFromTheNextWhenOneStops(t *testing.T) {
	want := large()
	var served atomic.Int32
	first := rogueHolder(t, func(s network.Stream, req pieceRequest) {
		if served.Add(1) > 10 {
			s.Reset()
			return
		}
		givePiece(s, req, want)
	})
	second, n := newBlobNode(t), newBlobNode(t)
	blob := second.put(t, want)
	n.asks(t, first.Host, second.host)
	if err := n.fetch(t, blob); err != nil {
		t.Fatal(err)
	}
	n.holds(t, want)
	if got, need := second.given(blob), int(countPieces(blob.Bytes))-10; got != need {
		t.Errorf("%d pieces from the second, %d were missing", got, need)
	}
}

func TestPiecesAreForThoseWhoMayReadThem(t *testing.T) {
	source, n := newBlobNode(t), newBlobNode(t)
	blob := source.put(t, large())
	source.refuse.Store(&blob.CID)
	n.asks(t, source.host)
	if err := n.fetch(t, blob); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if source.given(blob) != 0 {
		t.Error("pieces were given away")
	}
}

func TestGatheringEndsWithItsContext(t *testing.T) {
	want := large()
	asked := make(chan struct{}, 100)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	n := newBlobNode(t)
	n.asks(t, rogueHolder(t, func(network.Stream, pieceRequest) { asked <- struct{}{}; <-hang }).Host)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.blobs.Fetch(ctx, blobOf(want), nil, nil) }()
	<-asked
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

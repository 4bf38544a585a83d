package p2p

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// blobNode is a node with blob transfer alone.
type blobNode struct {
	host     host.Host
	store    *storage.Store
	blobs    *blobService
	peers    []peer.ID // whom Fetch asks beside hints
	refuse   atomic.Pointer[cid.Cid]
	mu       sync.Mutex
	rejected []peer.ID
}

func newBlobNode(t testing.TB) *blobNode {
	t.Helper()
	n := &blobNode{host: loopbackHost(t), store: openStore(t)}
	n.blobs = newBlobService(blobConfig{
		host: n.host, store: n.store, idle: 5 * time.Second,
		members: func() []peer.ID { return n.peers },
		allow: func(_ peer.ID, c cid.Cid) error {
			if secret := n.refuse.Load(); secret != nil && *secret == c {
				return errors.New("not for you")
			}
			return nil
		},
		reject: func(p peer.ID, _ cid.Cid) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.rejected = append(n.rejected, p)
		},
	})
	n.blobs.start()
	t.Cleanup(n.blobs.close)
	return n
}

func (n *blobNode) blamed() []peer.ID {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.rejected)
}

// asks lets n ask others, in this order.
func (n *blobNode) asks(t testing.TB, others ...host.Host) {
	t.Helper()
	for _, h := range others {
		connect(t, n.host, h)
		n.peers = append(n.peers, h.ID())
	}
}

func (n *blobNode) put(t testing.TB, content []byte) record.Blob {
	t.Helper()
	b, err := n.store.PutBlobBytes(content)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (n *blobNode) fetch(t testing.TB, b record.Blob, hint ...peer.ID) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return n.blobs.Fetch(ctx, b, hint, nil)
}

func (n *blobNode) mustHave(t testing.TB, b record.Blob) {
	t.Helper()
	if err := n.store.VerifyBlob(b.CID); err != nil {
		t.Error(err)
	}
}

// rogue is a peer that answers blob requests with f, and counts them.
type rogue struct {
	host.Host
	asked atomic.Int64
}

func newRogue(t testing.TB, f func(s network.Stream, req blobRequest)) *rogue {
	t.Helper()
	r := &rogue{Host: loopbackHost(t)}
	r.SetStreamHandler(blobProtocol, func(s network.Stream) {
		defer s.Close()
		var req blobRequest
		if err := readLimited(s, maxBlobMessage, &req); err != nil {
			t.Error(err)
			return
		}
		r.asked.Add(1)
		f(s, req)
	})
	return r
}

// serving answers with content, whatever is asked for, and cuts the line after n bytes.
func serving(content []byte, n int) func(network.Stream, blobRequest) {
	return func(s network.Stream, req blobRequest) {
		if writeMessage(s, &blobReply{Status: blobFollows, Size: int64(len(content))}) != nil {
			return
		}
		rest := content[req.Offset:]
		if n < len(rest) {
			s.Write(rest[:n])
			s.CloseWrite()
			return
		}
		s.Write(rest)
	}
}

func TestBlobIsFetched(t *testing.T) {
	for _, size := range []int{0, 1, blobChunk, 3*blobChunk + 17, 2 << 20} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			a, b := newBlobNode(t), newBlobNode(t)
			a.asks(t, b.host)
			want := b.put(t, randomBytes(1, size))
			last := int64(-1)
			err := a.blobs.Fetch(t.Context(), want, nil, func(done, total int64) {
				if done < last || total != want.Bytes {
					t.Errorf("progress %d of %d after %d", done, total, last)
				}
				last = done
			})
			if err != nil {
				t.Fatal(err)
			}
			if last != want.Bytes {
				t.Errorf("progress ended at %d", last)
			}
			a.mustHave(t, want)
			if err := a.fetch(t, want); err != nil {
				t.Errorf("a blob that is there: %v", err)
			}
		})
	}
}

func TestHintIsAskedFirst(t *testing.T) {
	a, b := newBlobNode(t), newBlobNode(t)
	want := b.put(t, []byte("content"))
	other := newRogue(t, serving([]byte("other..")[:7], 7))
	a.asks(t, other, b.host)
	if err := a.fetch(t, want, a.host.ID(), b.host.ID()); err != nil {
		t.Fatal(err)
	}
	if other.asked.Load() != 0 {
		t.Error("another member was asked before the hint")
	}
}

func TestUnavailableBlobTellsWhy(t *testing.T) {
	a, b := newBlobNode(t), newBlobNode(t)
	want := blobOf([]byte("content"))
	if err := a.fetch(t, want); !errors.Is(err, ErrUnavailable) {
		t.Errorf("nobody to ask: got %v, want %v", err, ErrUnavailable)
	}
	stranger := loopbackHost(t).ID()
	a.asks(t, b.host)
	err := a.fetch(t, want, stranger)
	if !errors.Is(err, ErrUnavailable) {
		t.Fatalf("got %v, want %v", err, ErrUnavailable)
	}
	for _, p := range []peer.ID{stranger, b.host.ID()} {
		if !bytes.Contains([]byte(err.Error()), []byte(p.String())) {
			t.Errorf("%q does not tell of %s", err, p)
		}
	}
	if len(a.blamed()) != 0 {
		t.Errorf("blamed %v for not having it", a.blamed())
	}
}

func TestPeerThatMayNotReadIsToldNothing(t *testing.T) {
	a, b := newBlobNode(t), newBlobNode(t)
	a.asks(t, b.host)
	want := b.put(t, []byte("targets of the public data"))
	absent := a.fetch(t, blobOf([]byte("a blob that nobody has!!!!")))
	b.refuse.Store(&want.CID)
	refused := a.fetch(t, want)
	if !errors.Is(refused, ErrUnavailable) {
		t.Fatalf("got %v", refused)
	}
	strip := func(err error, c cid.Cid) string {
		return string(bytes.ReplaceAll([]byte(err.Error()), []byte(c.String()), []byte("CID")))
	}
	if x, y := strip(refused, want.CID), strip(absent, record.BlobCID([]byte("a blob that nobody has!!!!"))); x != y {
		t.Errorf("refused: %q\nabsent: %q", x, y)
	}
}

func TestCorruptBlobIsRejectedAndFetchedElsewhere(t *testing.T) {
	content := randomBytes(1, 200_000)
	wrong := bytes.Clone(content)
	wrong[150_000] ^= 1
	a, b := newBlobNode(t), newBlobNode(t)
	want := b.put(t, content)
	liar := newRogue(t, serving(wrong, len(wrong)))
	a.asks(t, liar, b.host)
	if err := a.fetch(t, want); err != nil {
		t.Fatal(err)
	}
	a.mustHave(t, want)
	if got := a.blamed(); !slices.Equal(got, []peer.ID{liar.ID()}) {
		t.Errorf("blamed %v, want the liar alone", got)
	}

	if err := a.store.RemoveBlob(want.CID); err != nil {
		t.Fatal(err)
	}
	if err := a.fetch(t, want); err != nil {
		t.Fatal(err)
	}
	if liar.asked.Load() != 1 {
		t.Errorf("the liar was asked %d times", liar.asked.Load())
	}
}

func TestOnlyALiarInReach(t *testing.T) {
	a := newBlobNode(t)
	liar := newRogue(t, serving([]byte("c0ntent"), 7))
	a.asks(t, liar)
	want := blobOf([]byte("content"))
	for range 2 {
		if err := a.fetch(t, want); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v, want %v", err, ErrUnavailable)
		}
	}
	if a.store.HasBlob(want.CID) || liar.asked.Load() != 1 || len(a.blamed()) != 1 {
		t.Errorf("stored %v, asked %d times, blamed %v", a.store.HasBlob(want.CID), liar.asked.Load(), a.blamed())
	}
}

func TestCutTransferResumesElsewhere(t *testing.T) {
	content := randomBytes(1, 300_000)
	const cut = 200_000
	var offset atomic.Int64
	first := newRogue(t, serving(content, cut))
	second := newRogue(t, func(s network.Stream, req blobRequest) {
		offset.Store(req.Offset)
		serving(content, len(content))(s, req)
	})
	a := newBlobNode(t)
	a.asks(t, first, second)
	want := blobOf(content)
	if err := a.fetch(t, want); err != nil {
		t.Fatal(err)
	}
	a.mustHave(t, want)
	if offset.Load() != cut {
		t.Errorf("resumed at %d, want %d", offset.Load(), cut)
	}
}

func TestTransferResumesFromTheSamePeer(t *testing.T) {
	content := randomBytes(1, 300_000)
	a := newBlobNode(t)
	only := newRogue(t, serving(content, 100_000))
	a.asks(t, only)
	want := blobOf(content)
	if err := a.fetch(t, want); err != nil {
		t.Fatal(err)
	}
	a.mustHave(t, want)
	if only.asked.Load() != 3 {
		t.Errorf("asked %d times", only.asked.Load())
	}
}

// One peer gives a wrong first part, another the right rest. Nobody can tell whose part is wrong, until each gives the whole.
func TestMixedTransferBlamesOnlyTheGuilty(t *testing.T) {
	content := randomBytes(1, 300_000)
	wrong := bytes.Clone(content)
	wrong[5] ^= 1
	for name, order := range map[string]func(liar, honest host.Host) []host.Host{
		"liar first":   func(liar, honest host.Host) []host.Host { return []host.Host{liar, honest} },
		"honest first": func(liar, honest host.Host) []host.Host { return []host.Host{honest, liar} },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newBlobNode(t), newBlobNode(t)
			want := b.put(t, content)
			liar := newRogue(t, serving(wrong, 100_000))
			// What an earlier run left is the liar's.
			p, err := a.store.PartialBlob(want.CID)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Write(wrong[:1000]); err != nil {
				t.Fatal(err)
			}
			p.Close()
			a.asks(t, order(liar, b.host)...)
			if err := a.fetch(t, want); err != nil {
				t.Fatal(err)
			}
			a.mustHave(t, want)
			if slices.Contains(a.blamed(), b.host.ID()) {
				t.Error("the honest peer was blamed")
			}
		})
	}
}

func TestPeerWithAnotherSizeIsPassedOver(t *testing.T) {
	content := []byte("content")
	a, b := newBlobNode(t), newBlobNode(t)
	want := b.put(t, content)
	long := newRogue(t, serving(append(content, "and more"...), 100))
	a.asks(t, long, b.host)
	if err := a.fetch(t, want); err != nil {
		t.Fatal(err)
	}
	a.mustHave(t, want)
}

func TestBusyPeerIsAskedAgain(t *testing.T) {
	content := []byte("content")
	a := newBlobNode(t)
	var asked atomic.Int64
	busy := newRogue(t, func(s network.Stream, req blobRequest) {
		if asked.Add(1) < 3 {
			writeMessage(s, &blobReply{Status: blobBusy})
			return
		}
		serving(content, len(content))(s, req)
	})
	a.asks(t, busy)
	if err := a.fetch(t, blobOf(content)); err != nil {
		t.Fatal(err)
	}
}

func TestServerLimitsStreamsOfOnePeer(t *testing.T) {
	a, b := loopbackHost(t), newBlobNode(t)
	connect(t, a, b.host)
	want := b.put(t, randomBytes(1, 32<<20)) // more than fits into the buffers of a connection
	ask := func() string {
		s, err := a.NewStream(t.Context(), b.host.ID(), blobProtocol)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Reset() })
		if err := writeMessage(s, &blobRequest{CID: want.CID}); err != nil {
			t.Fatal(err)
		}
		var reply blobReply
		if err := readLimited(s, maxBlobMessage, &reply); err != nil {
			t.Fatal(err)
		}
		return reply.Status
	}
	for i := range servedToOne {
		if got := ask(); got != blobFollows {
			t.Fatalf("stream %d: %q", i, got)
		}
	}
	if got := ask(); got != blobBusy {
		t.Errorf("one too many: %q", got)
	}
}

func TestServerOutlivesNonsense(t *testing.T) {
	a, b := newBlobNode(t), newBlobNode(t)
	a.asks(t, b.host)
	want := b.put(t, []byte("content"))
	for name, bytes := range map[string][]byte{
		"nothing":        nil,
		"garbage":        randomBytes(1, 100),
		"a huge message": {0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
	} {
		s, err := a.host.NewStream(t.Context(), b.host.ID(), blobProtocol)
		if err != nil {
			t.Fatal(err)
		}
		s.Write(bytes)
		s.CloseWrite()
		s.SetReadDeadline(time.Now().Add(10 * time.Second))
		var reply blobReply
		if err := readLimited(s, maxBlobMessage, &reply); err == nil {
			t.Errorf("%s: answered %+v", name, reply)
		}
		s.Reset()
	}
	for _, offset := range []int64{-1, 8, 1 << 62} {
		s, err := a.host.NewStream(t.Context(), b.host.ID(), blobProtocol)
		if err != nil {
			t.Fatal(err)
		}
		var reply blobReply
		if err := errors.Join(writeMessage(s, &blobRequest{want.CID, offset}), readLimited(s, maxBlobMessage, &reply)); err != nil || reply.Status != blobAbsent {
			t.Errorf("offset %d: %+v, %v", offset, reply, err)
		}
		s.Reset()
	}
	if err := a.fetch(t, want); err != nil {
		t.Error(err)
	}
}

func TestConcurrentFetchesShareOneTransfer(t *testing.T) {
	content := randomBytes(1, 100_000)
	release := make(chan struct{})
	source := newRogue(t, func(s network.Stream, req blobRequest) {
		<-release
		serving(content, len(content))(s, req)
	})
	a := newBlobNode(t)
	a.asks(t, source)
	want := blobOf(content)

	quitter, quit := context.WithCancel(t.Context())
	quitted := make(chan error, 1)
	go func() { quitted <- a.blobs.Fetch(quitter, want, nil, nil) }()
	const others = 3
	results := make(chan error, others)
	for range others {
		go func() { results <- a.fetch(t, want) }()
	}
	eventually(t, "all have joined", func() bool {
		a.blobs.mu.Lock()
		defer a.blobs.mu.Unlock()
		f := a.blobs.flights[want.CID]
		if f == nil {
			return false
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.waiters) == others+1
	})
	quit()
	if err := <-quitted; !errors.Is(err, context.Canceled) {
		t.Errorf("who left: %v", err)
	}
	close(release)
	for range others {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if source.asked.Load() != 1 {
		t.Errorf("asked %d times", source.asked.Load())
	}
}

func TestAbandonedFetchKeepsWhatCame(t *testing.T) {
	content := randomBytes(1, 300_000)
	const sent = 2 * blobChunk
	a, b := newBlobNode(t), newBlobNode(t)
	want := b.put(t, content)
	hang := make(chan struct{})
	slow := newRogue(t, func(s network.Stream, req blobRequest) {
		writeMessage(s, &blobReply{Status: blobFollows, Size: want.Bytes})
		s.Write(content[:sent])
		<-hang
	})
	t.Cleanup(func() { close(hang) })
	connect(t, a.host, slow)
	connect(t, a.host, b.host)

	ctx, cancel := context.WithCancel(t.Context())
	err := a.blobs.Fetch(ctx, want, []peer.ID{slow.ID()}, func(done, _ int64) {
		if done == sent {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	first := int64(-1)
	err = a.blobs.Fetch(t.Context(), want, []peer.ID{b.host.ID()}, func(done, _ int64) {
		if first < 0 {
			first = done
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if first != sent {
		t.Errorf("went on at %d, want %d", first, sent)
	}
	a.mustHave(t, want)
}

func TestCloseEndsFetches(t *testing.T) {
	a := newBlobNode(t)
	asked := make(chan struct{})
	hang := make(chan struct{})
	source := newRogue(t, func(network.Stream, blobRequest) { close(asked); <-hang })
	t.Cleanup(func() { close(hang) })
	a.asks(t, source)
	result := make(chan error, 1)
	go func() { result <- a.blobs.Fetch(t.Context(), blobOf([]byte("content")), nil, nil) }()
	<-asked
	a.blobs.close()
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want %v", err, ErrClosed)
	}
	if err := a.fetch(t, blobOf([]byte("other"))); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

func FuzzBlobMessages(f *testing.F) {
	for _, m := range []any{
		blobRequest{CID: record.BlobCID(nil), Offset: 7}, blobReply{Status: blobFollows, Size: 9},
		pieceRequest{CID: record.BlobCID(nil), Piece: 3, Insist: true}, pieceReply{Status: pieceElsewhere, Peers: [][]byte{{1, 2}}, Given: []byte{0, 1}},
	} {
		var b bytes.Buffer
		if err := writeMessage(&b, m); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range []any{new(blobRequest), new(blobReply), new(pieceRequest), new(pieceReply)} {
			r := bytes.NewReader(b)
			if readLimited(r, maxBlobMessage, m) != nil {
				continue
			}
			var again bytes.Buffer
			if err := writeMessage(&again, m); err != nil {
				t.Errorf("%+v: %v", m, err)
			}
			if used := b[:len(b)-r.Len()]; !bytes.HasSuffix(used, again.Bytes()[1:]) && len(again.Bytes()) < 128 {
				t.Errorf("%x was read, %x written", used, again.Bytes())
			}
		}
	})
}

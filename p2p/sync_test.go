package p2p

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

var syncGenesis = record.PayloadCID([]byte("genesis"))

// writer signs notes: small records of an unknown kind.
type writer struct {
	key crypto.PrivKey
	id  peer.ID
}

func newWriter(t testing.TB, seed byte) writer {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writer{key, id}
}

func (w writer) sign(t testing.TB, kind record.Kind, seq uint64, body []byte) *record.Signed {
	t.Helper()
	r, err := record.Sign(w.key, record.Record{Kind: kind, Federation: syncGenesis, Seq: seq, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w writer) note(t testing.TB, seq uint64, text string) *record.Signed {
	t.Helper()
	body, err := record.Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	return w.sign(t, "note", seq, body)
}

// notes are the writer's first n.
func (w writer) notes(t testing.TB, n uint64) (all []*record.Signed) {
	t.Helper()
	for seq := range n {
		all = append(all, w.note(t, seq+1, "text"))
	}
	return all
}

// noteAt is a note that its author dates to a time.
func (w writer) noteAt(t testing.TB, seq uint64, created int64, text string) *record.Signed {
	t.Helper()
	body, err := record.Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.Sign(w.key, record.Record{Kind: "note", Federation: syncGenesis, Seq: seq, Created: created, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w writer) certificate(t testing.TB, seq uint64, subject peer.ID) *record.Signed {
	t.Helper()
	kind, body, err := record.NewBody(&record.Certificate{Subject: subject, Role: record.RoleEdge, Expires: 1})
	if err != nil {
		t.Fatal(err)
	}
	return w.sign(t, kind, seq, body)
}

// syncNode is a node with record sync alone, which accepts everything that rule allows.
type syncNode struct {
	host  host.Host
	store *storage.Store
	sync  *syncService

	mu       sync.Mutex
	rule     func(*record.Signed) error
	accepted []*record.Signed
	damaged  []peer.ID
	stranger bool // whoever comes is one
	clock    time.Time
}

func newSyncNode(t testing.TB, records ...*record.Signed) *syncNode {
	t.Helper()
	n := &syncNode{host: loopbackHost(t), store: openStore(t), clock: time.Unix(1e9, 0)}
	n.put(t, records...)
	n.sync = newSyncService(syncConfig{
		host: n.host, store: n.store, turn: 40,
		member: func(peer.ID) bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			return !n.stranger
		},
		accept: n.accept,
		damaged: func(from peer.ID, _ error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.damaged = append(n.damaged, from)
		},
		now: func() time.Time {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.clock
		},
	})
	n.sync.start()
	t.Cleanup(n.sync.close)
	return n
}

func (n *syncNode) put(t testing.TB, records ...*record.Signed) {
	t.Helper()
	for list := range slices.Chunk(records, storage.MaxPut) {
		if _, err := n.store.PutRecords(list); err != nil {
			t.Fatal(err)
		}
	}
}

func (n *syncNode) accept(_ context.Context, _ peer.ID, list []*record.Signed) []error {
	n.mu.Lock()
	defer n.mu.Unlock()
	errs := make([]error, len(list))
	var good []*record.Signed
	for i, r := range list {
		if n.rule != nil {
			errs[i] = n.rule(r)
		}
		if errs[i] == nil {
			good = append(good, r)
		}
	}
	n.accepted = append(n.accepted, good...)
	if _, err := n.store.PutRecords(good); err != nil {
		return slices.Repeat([]error{err}, len(list))
	}
	return errs
}

func (n *syncNode) with(t testing.TB, other *syncNode) syncResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n.rest(t)
	result, err := n.sync.Sync(ctx, other.host.ID())
	if err != nil {
		t.Fatal(err)
	}
	other.rest(t)
	return result
}

// rest waits until n serves nobody: the listener's part of an exchange ends a little after the dialler's.
func (n *syncNode) rest(t testing.TB) {
	t.Helper()
	eventually(t, "nobody is served", func() bool {
		n.sync.mu.Lock()
		defer n.sync.mu.Unlock()
		return len(n.sync.served) == 0
	})
}

// all are the CIDs of what is stored, sorted.
func (n *syncNode) all(t testing.TB) []string {
	t.Helper()
	var ids []string
	for r, err := range n.store.Records("") {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.CID.String())
	}
	slices.Sort(ids)
	return ids
}

func mustAgree(t testing.TB, want int, nodes ...*syncNode) {
	t.Helper()
	for _, n := range nodes {
		if got := n.all(t); len(got) != want || !slices.Equal(got, nodes[0].all(t)) {
			t.Errorf("%s has %d records, want the same %d everywhere", n.host.ID(), len(got), want)
		}
	}
}

func TestSyncBringsBothSidesTheUnion(t *testing.T) {
	one, two, three := newWriter(t, 1), newWriter(t, 2), newWriter(t, 3)
	notes := func(w writer, seqs ...uint64) (all []*record.Signed) {
		for _, seq := range seqs {
			all = append(all, w.note(t, seq, "text"))
		}
		return all
	}
	for name, c := range map[string]struct {
		a, b []*record.Signed
		want int
		move syncResult // as seen by a
	}{
		"nothing":                {nil, nil, 0, syncResult{}},
		"equal":                  {notes(one, 1, 2), notes(one, 1, 2), 2, syncResult{}},
		"only there":             {nil, notes(one, 1, 2, 3), 3, syncResult{Received: 3}},
		"only here":              {notes(one, 1, 2, 3), nil, 3, syncResult{Sent: 3}},
		"a later end":            {notes(one, 1, 2), notes(one, 1, 2, 3, 4), 4, syncResult{Received: 2}},
		"gaps on both sides":     {notes(one, 1, 3, 5, 9), notes(one, 2, 3, 4, 8), 7, syncResult{Sent: 3, Received: 3}},
		"different authors":      {slices.Concat(notes(one, 1), notes(two, 1, 2)), slices.Concat(notes(two, 2), notes(three, 7)), 4, syncResult{Sent: 2, Received: 1}},
		"more than one turn":     {one.notes(t, 100), two.notes(t, 90), 190, syncResult{Sent: 100, Received: 90}},
		"highest number allowed": {notes(one, math.MaxUint64-1), notes(one, 1), 2, syncResult{Sent: 1, Received: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newSyncNode(t, c.a...), newSyncNode(t, c.b...)
			connect(t, a.host, b.host)
			if got := a.with(t, b); got != c.move {
				t.Errorf("moved %+v, want %+v", got, c.move)
			}
			mustAgree(t, c.want, a, b)
			if got := b.with(t, a); got != (syncResult{}) {
				t.Errorf("a second sync moved %+v", got)
			}
		})
	}
}

func TestMembershipComesFirstAndInOrder(t *testing.T) {
	founder, invite, edge := newWriter(t, 200), newWriter(t, 100), newWriter(t, 1)
	first := founder.certificate(t, 1, invite.id)
	second := invite.certificate(t, 1, edge.id)
	note := edge.note(t, 1, "hello")
	kind, body, err := record.NewBody(&record.Revocation{Certificate: first.CID})
	if err != nil {
		t.Fatal(err)
	}
	revocation := founder.sign(t, kind, 2, body)

	a := newSyncNode(t, first, note, second, revocation)
	b := newSyncNode(t)
	connect(t, a.host, b.host)
	a.with(t, b)
	var got []cid.Cid
	for _, r := range b.accepted {
		got = append(got, r.CID)
	}
	if want := []cid.Cid{first.CID, second.CID, revocation.CID, note.CID}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

func TestStrangerGetsNoRecords(t *testing.T) {
	a, b := newSyncNode(t), newSyncNode(t, newWriter(t, 1).note(t, 1, "secret"))
	b.stranger = true
	connect(t, a.host, b.host)
	if _, err := a.sync.Sync(t.Context(), b.host.ID()); err == nil {
		t.Error("sync worked")
	}
	mustAgree(t, 0, a)
}

func TestEquivocationReachesBothSidesAndThenRests(t *testing.T) {
	w := newWriter(t, 1)
	common := w.note(t, 1, "common")
	a, b := newSyncNode(t, common, w.note(t, 2, "one story")), newSyncNode(t, common, w.note(t, 2, "another story"))
	connect(t, a.host, b.host)
	if got, want := a.with(t, b), (syncResult{Sent: 1, Received: 1}); got != want {
		t.Errorf("moved %+v, want %+v", got, want)
	}
	mustAgree(t, 3, a, b)
	if got := a.with(t, b); got != (syncResult{}) {
		t.Errorf("then moved %+v", got)
	}
}

func TestRefusedEquivocationIsNotSentAgainForAWhile(t *testing.T) {
	w := newWriter(t, 1)
	a, b := newSyncNode(t, w.note(t, 1, "one story")), newSyncNode(t, w.note(t, 1, "another story"))
	connect(t, a.host, b.host)
	a.rule = func(*record.Signed) error { return errConflict }
	b.rule = a.rule
	if got, want := a.with(t, b), (syncResult{Sent: 1, Refused: 1}); got != want {
		t.Errorf("moved %+v, want %+v", got, want)
	}
	for range 2 {
		if got := a.with(t, b); got != (syncResult{}) {
			t.Errorf("then moved %+v", got)
		}
	}
	for _, n := range []*syncNode{a, b} {
		n.mu.Lock()
		n.clock = n.clock.Add(refusedFor)
		n.mu.Unlock()
	}
	if got, want := a.with(t, b), (syncResult{Sent: 1, Refused: 1}); got != want {
		t.Errorf("after a while moved %+v, want %+v", got, want)
	}
}

func TestRefusedRecordsOfAnAuthorAreNotSentAgain(t *testing.T) {
	bad, good := newWriter(t, 1), newWriter(t, 2)
	a, b := newSyncNode(t, bad.note(t, 1, "x"), bad.note(t, 2, "y"), good.note(t, 1, "z")), newSyncNode(t)
	b.rule = func(r *record.Signed) error {
		if r.Author == bad.id {
			return refusal("author is revoked")
		}
		return nil
	}
	connect(t, a.host, b.host)
	if got, want := b.with(t, a), (syncResult{Received: 1, Refused: 2}); got != want {
		t.Errorf("moved %+v, want %+v", got, want)
	}
	if got := b.with(t, a); got != (syncResult{}) {
		t.Errorf("then moved %+v", got)
	}

	// A certificate may change what is welcome.
	b.rule = nil
	a.put(t, good.certificate(t, 2, bad.id))
	b.with(t, a)
	if got, want := b.with(t, a), (syncResult{Received: 2}); got != want {
		t.Errorf("after a certificate moved %+v, want %+v", got, want)
	}
	mustAgree(t, 4, a, b)
}

func TestRecordsThatCannotBeAcceptedYetDoNotKeepSyncGoing(t *testing.T) {
	w := newWriter(t, 1)
	a, b := newSyncNode(t), newSyncNode(t)
	a.put(t, w.notes(t, 100)...) // more than two turns
	b.rule = func(*record.Signed) error { return errors.New("author is not known yet") }
	connect(t, a.host, b.host)
	if got := a.with(t, b); got.Sent != 40 {
		t.Errorf("moved %+v, want one turn", got)
	}
	b.rule = nil
	a.with(t, b)
	mustAgree(t, 100, a, b)
}

func TestBothSidesMaySyncAtOnce(t *testing.T) {
	one, two := newWriter(t, 1), newWriter(t, 2)
	a, b := newSyncNode(t), newSyncNode(t)
	a.put(t, one.notes(t, 60)...)
	b.put(t, two.notes(t, 60)...)
	connect(t, a.host, b.host)
	errs := make(chan error, 2)
	go func() { _, err := a.sync.Sync(t.Context(), b.host.ID()); errs <- err }()
	go func() { _, err := b.sync.Sync(t.Context(), a.host.ID()); errs <- err }()
	x, y := <-errs, <-errs
	if x != nil && y != nil {
		t.Errorf("both failed: %v; %v", x, y)
	}
	a.with(t, b)
	mustAgree(t, 120, a, b)
}

// speaking answers one exchange with nothing to tell apart, and then raw bytes for records, and what more writes.
func speaking(t testing.TB, raw []byte, more ...func(network.Stream)) host.Host {
	t.Helper()
	h := loopbackHost(t)
	h.SetStreamHandler(syncProtocol, func(s network.Stream) {
		defer s.Close()
		var ranges syncRanges
		if err := errors.Join(readMessage(s, &ranges), writeMessage(s, &syncRanges{})); err != nil {
			t.Error(err)
			return
		}
		if frame, err := readFrame(s, 0); err != nil || len(frame) != 0 {
			t.Errorf("records %x, %v", frame, err)
			return
		}
		var end syncEnd
		if err := readMessage(s, &end); err != nil {
			t.Error(err)
			return
		}
		s.Write(raw)
		for _, write := range more {
			write(s)
		}
	})
	return h
}

// turn is a turn of records, well formed.
func turn(t testing.TB, envelopes ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, e := range envelopes {
		b.Write(frame(e))
	}
	b.WriteByte(0)
	if err := writeMessage(&b, &syncEnd{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func frame(b []byte) []byte {
	var size bytes.Buffer
	for n := len(b); ; n >>= 7 {
		if n < 0x80 {
			size.WriteByte(byte(n))
			break
		}
		size.WriteByte(byte(n) | 0x80)
	}
	return append(size.Bytes(), b...)
}

func TestDamagedRecordIsCountedAndTheOthersTaken(t *testing.T) {
	w := newWriter(t, 1)
	good := w.note(t, 2, "good")
	bad := bytes.Clone(w.note(t, 1, "bad").Envelope)
	bad[len(bad)-1] ^= 1
	rogue := speaking(t, turn(t, bad, good.Envelope))
	a := newSyncNode(t)
	connect(t, a.host, rogue)
	got, err := a.sync.Sync(t.Context(), rogue.ID())
	if err != nil {
		t.Fatal(err)
	}
	if want := (syncResult{Received: 1, Refused: 1}); got != want {
		t.Errorf("moved %+v, want %+v", got, want)
	}
	if !slices.Equal(a.damaged, []peer.ID{rogue.ID()}) || !a.store.HasRecord(good.CID) {
		t.Errorf("damaged from %v, good one stored: %v", a.damaged, a.store.HasRecord(good.CID))
	}
}

func TestSyncGivesUpOn(t *testing.T) {
	w := newWriter(t, 1)
	note := w.note(t, 1, "x").Envelope
	var flood, junk [][]byte
	for range syncRecords + 1 {
		flood = append(flood, note)
	}
	for range syncDamaged + 1 {
		junk = append(junk, []byte("junk"))
	}
	for name, raw := range map[string][]byte{
		"silence":               nil,
		"half a record":         frame(note)[:50],
		"no end":                turn(t, note)[:len(frame(note))],
		"a record too large":    {0xff, 0xff, 0xff, 0x7f},
		"too many records":      turn(t, flood...),
		"nothing but damage":    turn(t, junk...),
		"an end that is no end": append(frame(note), 0, 1, 0xff),
	} {
		t.Run(name, func(t *testing.T) {
			rogue := speaking(t, raw)
			a := newSyncNode(t)
			connect(t, a.host, rogue)
			if got, err := a.sync.Sync(t.Context(), rogue.ID()); err == nil {
				t.Errorf("moved %+v", got)
			}
		})
	}
}

// However little a peer sends at a time, an exchange ends, and what it brought stays.
func TestDrippingPeerIsGivenUp(t *testing.T) {
	w := newWriter(t, 1)
	rogue := speaking(t, nil, func(s network.Stream) {
		for seq := uint64(1); ; seq++ {
			if _, err := s.Write(frame(w.note(t, seq, "text").Envelope)); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	a := newSyncNode(t)
	a.sync.cfg.longest = 2 * time.Second
	connect(t, a.host, rogue)
	if got, err := a.sync.Sync(t.Context(), rogue.ID()); err == nil {
		t.Errorf("moved %+v", got)
	}
	if stored := a.store.Count(); stored == 0 || stored >= syncRecords {
		t.Errorf("%d records were taken", stored)
	}
}

// Records count as they come, not when some of them are stored at once: a slow link would seem to bring nothing for seconds.
func TestRecordsCountAsTheyCome(t *testing.T) {
	w := newWriter(t, 1)
	const records = 20
	hang := make(chan struct{})
	slow := speaking(t, nil, func(s network.Stream) {
		for seq := uint64(1); seq <= records; seq++ {
			s.Write(frame(w.note(t, seq, "text").Envelope))
		}
		<-hang
		s.Reset()
	})
	a := newSyncNode(t)
	connect(t, a.host, slow)
	ended := make(chan struct{})
	go func() {
		a.sync.Sync(t.Context(), slow.ID())
		close(ended)
	}()
	for deadline := time.Now().Add(10 * time.Second); a.sync.brought.Load() < records; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%d records count, want %d", a.sync.brought.Load(), records)
			break
		}
	}
	if n := a.store.Count(); n != 0 {
		t.Errorf("%d records are stored before the batch is full", n)
	}
	close(hang)
	<-ended
	if n := a.store.Count(); n != records {
		t.Errorf("%d records are stored, want %d", n, records)
	}
}

func TestCloseEndsSync(t *testing.T) {
	a := newSyncNode(t)
	asked, hang := make(chan struct{}), make(chan struct{})
	silent := loopbackHost(t)
	silent.SetStreamHandler(syncProtocol, func(network.Stream) { close(asked); <-hang })
	t.Cleanup(func() { close(hang) })
	connect(t, a.host, silent)
	result := make(chan error, 1)
	go func() { _, err := a.sync.Sync(t.Context(), silent.ID()); result <- err }()
	<-asked
	if _, err := a.sync.Sync(t.Context(), silent.ID()); !errors.Is(err, errSyncing) {
		t.Errorf("a second call for one peer: %v", err)
	}
	a.sync.close()
	if err := <-result; err == nil {
		t.Error("sync ended well")
	}
	if _, err := a.sync.Sync(t.Context(), silent.ID()); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

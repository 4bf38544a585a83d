package p2p_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

const patience = 20 * time.Second // for things that take well under a second on an idle machine

// eventually polls until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// keyOf derives a key from a name, so that a test's peers are the same in every run.
func keyOf(t testing.TB, name string) crypto.PrivKey {
	t.Helper()
	seed := sha256.Sum256([]byte(t.Name() + "/" + name))
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func idOf(t testing.TB, key crypto.PrivKey) peer.ID {
	t.Helper()
	return must[peer.ID](t)(peer.IDFromPrivateKey(key))
}

// federation is a founder with a genesis.
type federation struct {
	t       testing.TB
	key     crypto.PrivKey
	store   *storage.Store // of the founder
	genesis *record.Signed
	id      cid.Cid
}

// found makes a federation; change may fill in its genesis.
func found(t testing.TB, name string, change ...func(*record.Federation, *storage.Store)) *federation {
	t.Helper()
	key := keyOf(t, "founder of "+name)
	f := &federation{t: t, key: key, store: openStore(t, t.TempDir())}
	body := &record.Federation{Name: name, Founder: idOf(t, key)}
	for _, c := range change {
		c(body, f.store)
	}
	f.genesis = sign(t, key, cid.Undef, 1, body)
	f.id = f.genesis.CID
	must[bool](t)(f.store.PutRecord(f.genesis))
	return f
}

func openStore(t testing.TB, home string) *storage.Store {
	t.Helper()
	s := must[*storage.Store](t)(storage.Open(home, storage.Options{}))
	t.Cleanup(func() { s.Close() })
	return s
}

func sign[T record.Body](t testing.TB, key crypto.PrivKey, federation cid.Cid, seq uint64, body *T, parents ...cid.Cid) *record.Signed {
	t.Helper()
	kind, b, err := record.NewBody(body)
	if err != nil {
		t.Fatal(err)
	}
	return must[*record.Signed](t)(record.Sign(key, record.Record{
		Kind: kind, Federation: federation, Seq: seq, Parents: parents, Created: time.Now().UnixMilli(), Body: b,
	}))
}

// node is a member that can be stopped and started again on its home.
type node struct {
	*p2p.Network
	t     testing.TB
	f     *federation
	name  string
	key   crypto.PrivKey
	home  string
	cfg   p2p.Config
	proof []*record.Signed
	store *storage.Store
	log   *logBook
	stop  func()

	mu  sync.Mutex
	got []*record.Signed
}

// start makes a member certified by the founder and serves it.
func (f *federation) start(name string, role record.Role, bootstrap ...*node) *node {
	f.t.Helper()
	n := f.prepare(name, role, bootstrap...)
	n.start()
	return n
}

func (f *federation) prepare(name string, role record.Role, bootstrap ...*node) *node {
	f.t.Helper()
	key := keyOf(f.t, name)
	cert := must[*record.Signed](f.t)(p2p.Certify(f.store, f.key, f.id, idOf(f.t, key), name, role, time.Now().Add(time.Hour)))
	n := &node{t: f.t, f: f, name: name, key: key, home: f.t.TempDir(), proof: []*record.Signed{cert}, log: &logBook{t: f.t, name: name}}
	n.cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	for _, b := range bootstrap {
		n.cfg.Bootstrap = append(n.cfg.Bootstrap, b.Addrs()...)
	}
	return n
}

func (n *node) start() {
	n.t.Helper()
	n.open()
	n.serve()
}

// open makes the Network, which listens and does no more.
func (n *node) open() {
	n.t.Helper()
	n.store = openStore(n.t, n.home)
	must[bool](n.t)(n.store.PutRecord(n.f.genesis))
	n.Network = must[*p2p.Network](n.t)(p2p.New(n.cfg, p2p.Deps{
		Key: n.key, Store: n.store, Federation: n.f.id, Proof: n.proof, Log: slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}))
	n.Subscribe(func(r *record.Signed) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.got = append(n.got, r)
	})
}

func (n *node) serve() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Serve(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Errorf("%s: Serve: %v", n.name, err)
		}
		n.store.Close()
	})
	n.t.Cleanup(n.stop)
}

// publish signs and publishes n's next delta.
func (n *node) publish(round uint64) *record.Signed {
	n.t.Helper()
	r := n.delta(round)
	if err := n.Publish(context.Background(), r); err != nil {
		n.t.Fatal(err)
	}
	return r
}

func (n *node) delta(round uint64, blobs ...record.Blob) *record.Signed {
	n.t.Helper()
	body := &record.Delta{Round: round, Base: record.BlobCID([]byte("base")), Modalities: []string{"accel"}}
	for i, b := range blobs {
		body.Components = append(body.Components, record.Component{Name: fmt.Sprint("lora", i), Signature: "s", Codec: "safetensors", Blob: b})
	}
	return sign(n.t, n.key, n.f.id, must[uint64](n.t)(n.store.NextSeq(n.ID())), body)
}

func (n *node) has(r *record.Signed) bool { return n.store.HasRecord(r.CID) }

// received are the records of a kind that n's subscriber was given, in order.
func (n *node) received(kind record.Kind) []*record.Signed {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []*record.Signed
	for _, r := range n.got {
		if r.Kind == kind {
			out = append(out, r)
		}
	}
	return out
}

// connected tells whether n and every other are mutual members.
func (n *node) connected(others ...*node) bool {
	for _, o := range others {
		if m, ok := n.Member(o.ID()); !ok || !m.Connected {
			return false
		}
	}
	return true
}

func (n *node) awaitConnected(others ...*node) {
	n.t.Helper()
	for _, o := range others {
		eventually(n.t, n.name+" and "+o.name+" connected", func() bool { return n.connected(o) && o.connected(n) })
	}
}

func (n *node) awaitRecord(r *record.Signed) {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("%s has %s %s", n.name, r.Kind, r.CID), func() bool { return n.has(r) })
}

// logBook keeps what a node has logged and prints it if the test fails.
type logBook struct {
	t    testing.TB
	name string
	once sync.Once
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBook) Write(b []byte) (int, error) {
	l.once.Do(func() {
		l.t.Cleanup(func() {
			if l.t.Failed() {
				l.t.Logf("log of %s:\n%s", l.name, l.String())
			}
		})
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// line gives the first logged line that has all parts.
func (l *logBook) line(parts ...string) (string, bool) {
	for line := range strings.Lines(l.String()) {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			return line, true
		}
	}
	return "", false
}

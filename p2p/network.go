package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/thejerf/suture/v4"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// Deps are what a Network stands on.
type Deps struct {
	Key        crypto.PrivKey        // identity, Ed25519
	Store      *storage.Store        // stays open until Serve or Close has returned
	Federation cid.Cid               // genesis CID; the genesis record is in Store (Join puts it there)
	Proof      []*record.Signed      // this peer's certificate chain, founder's first; nil: the best one in Store
	Log        *slog.Logger          // nil: discarded
	Now        func() time.Time      // nil: time.Now
	Metrics    prometheus.Registerer // gets libp2p's metrics; nil: there are none
	Host       []libp2p.Option       // added to the host's own, for a simulated network
}

// Network is this node's place in the federation. Safe for concurrent use.
type Network struct {
	id         peer.ID
	key        crypto.PrivKey
	store      *storage.Store
	log        *slog.Logger
	now        func() time.Time
	federation cid.Cid
	genesis    *record.Signed
	targets    cid.Cid // of the public data; may be undefined
	deadline   time.Duration
	role       record.Role // as the certificate said when this node started
	limits     Limits
	mdns       bool
	dht        bool
	relay      bool

	roster   *roster
	gate     *gate
	conduct  *conduct
	host     host.Host
	blocked  *blocklist
	gated    *gatedHost
	meter    *meter
	contacts *contacts
	sources  *sources
	upkeep   upkeep
	places   *places
	reach    reach
	lookup   *lookup // nil unless dht; set by Serve

	introduce func(to peer.ID) []introduction // introductions, but in tests
	blobs     *blobService
	sync      *syncService

	acceptMu sync.Mutex // one record at a time; guards the next two
	feeds    map[*feed]struct{}
	closed   bool

	rejectedRecords, rejectedBlobs, refusedPeers atomic.Int64

	gossip  atomic.Pointer[gossip] // set while serving
	serving atomic.Bool
	aside   atomic.Bool   // see StandAside
	synced  atomic.Bool   // records were exchanged with a member to the end
	up      chan struct{} // closed once gossip, sync and blob transfer have been started

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	taskMu sync.Mutex     // orders the start of tasks and the end of ctx
	tasks  sync.WaitGroup // goroutines that serve single peers
}

// New opens the host (listening) but talks to nobody until Serve. It fails if the configuration is invalid, the genesis is not in
// the store, or the proof does not make this peer a member as of now.
func New(cfg Config, deps Deps) (*Network, error) {
	if err := cfg.Limits.validate(); err != nil {
		return nil, err
	}
	listen, announce, bootstrap, err := cfg.parse()
	if err != nil {
		return nil, err
	}
	n := &Network{
		key:        deps.Key,
		store:      deps.Store,
		log:        deps.Log,
		now:        deps.Now,
		federation: deps.Federation,
		mdns:       cfg.MDNS,
		dht:        cfg.DHT,
		relay:      cfg.Relay,
		places:     newPlaces(),
		meter:      newMeter(),
		sources:    newSources(),
		upkeep:     newUpkeep(),
		blocked:    newBlocklist(),
		up:         make(chan struct{}),
		feeds:      make(map[*feed]struct{}),
	}
	if n.now == nil {
		n.now = time.Now
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.id, err = peer.IDFromPrivateKey(deps.Key); err != nil {
		return nil, fmt.Errorf("identity key: %w", err)
	}
	if err := n.enrol(deps.Proof); err != nil {
		return nil, err
	}
	if n.contacts, err = loadContacts(n.id, n.store, bootstrap, n.log, n.now); err != nil {
		return nil, err
	}
	for from := range n.roster.retired {
		if to, ok := n.roster.successor(from); ok {
			n.contacts.succeed(from, to)
		}
	}
	n.gate = newGate(n.now)
	_, n.role = n.describe(n.id)
	n.limits = cfg.Limits.of(n.role)
	n.host, err = newHost(hostConfig{
		key: deps.Key, listen: listen, announce: announce, limits: n.limits, reach: cfg, gate: n.gate, gater: n.blocked,
		meter: n.meter, registry: deps.Metrics, extra: deps.Host,
	})
	if err != nil {
		return nil, err
	}
	n.conduct = newConduct(cfg.Quota, n.deadline, n.now)
	if err := n.learnConduct(); err != nil {
		n.host.Close()
		return nil, err
	}
	if n.gated, err = newGatedHost(n.host, n.gate); err != nil {
		n.host.Close()
		return nil, err
	}
	n.gated.noisy = func(p peer.ID) { n.blame(p, faultStream) }
	n.blobs = newBlobService(blobConfig{
		host: n.gated, store: n.store, allow: n.mayRead, members: n.nearest, reject: n.badBlob, log: n.log,
	})
	n.sync = newSyncService(syncConfig{
		host: n.gated, store: n.store, member: n.listensTo, accept: n.acceptSynced, damaged: n.damagedRecord, log: n.log,
	})
	n.introduce = n.introductions
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.host.SetStreamHandler(helloProtocol, n.answerHello)
	n.host.Network().Notify(&network.NotifyBundle{ConnectedF: n.connected, DisconnectedF: n.disconnected})
	return n, nil
}

// enrol reads genesis, certificates and revocations from the store, adds proof, and checks that this node is a member.
func (n *Network) enrol(proof []*record.Signed) error {
	genesis, err := n.store.Record(n.federation)
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("genesis of federation %s is not in this home: join it first with `mlecs join TOKEN`: %w", n.federation, err)
	}
	if err != nil {
		return fmt.Errorf("read genesis of federation %s: %w", n.federation, err)
	}
	body, err := record.BodyAs[record.Federation](genesis)
	if err != nil {
		return fmt.Errorf("genesis of federation %s: %w", n.federation, err)
	}
	n.genesis, n.targets = genesis, body.Data.Targets.CID
	n.deadline = time.Duration(body.Policy.Deadline) * time.Millisecond
	if n.roster, err = newRoster(genesis, n.now); err != nil {
		return err
	}
	if len(proof) > 0 {
		if _, err := n.roster.verify(proof, n.id); err != nil {
			return fmt.Errorf("this node's certificate: %w; ask the federation's founder for a new invite", err)
		}
	}
	for _, s := range proof {
		if n.store.HasRecord(s.CID) {
			continue // a node starts on a full disk too
		}
		if _, err := n.store.PutRecord(s); err != nil {
			return fmt.Errorf("store own certificate: %w", err)
		}
	}
	if err := n.roster.load(n.store, n.log); err != nil {
		return err
	}
	if _, err := n.roster.member(n.id); err != nil {
		return fmt.Errorf("this node (%s) is no member of federation %s: %w; ask its founder for an invite", n.id, n.federation, err)
	}
	return nil
}

// Serve runs discovery, gossip and sync until ctx ends, then closes the host and returns nil. It can be called once.
func (n *Network) Serve(ctx context.Context) error {
	if !n.serving.CompareAndSwap(false, true) {
		return errors.New("p2p: Serve was called before")
	}
	defer n.Close()
	if n.ctx.Err() != nil {
		return ErrClosed
	}
	g, err := startGossip(n.ctx, n)
	if err != nil {
		return fmt.Errorf("start gossip: %w", err)
	}
	n.gossip.Store(g)
	n.blobs.start()
	n.sync.start()
	defer n.blobs.close()
	defer n.sync.close()
	if n.dht {
		if n.lookup, err = startLookup(n); err != nil {
			return err
		}
		defer n.lookup.close()
	}
	close(n.up)

	supervisor := suture.New("p2p", suture.Spec{EventHook: func(e suture.Event) {
		n.log.Error("network service failed", "event", e.String())
	}})
	supervisor.Add(service{"sweep", n.sweepLoop})
	supervisor.Add(service{"tend", n.tendLoop})
	supervisor.Add(service{"dial", n.dialLoop})
	supervisor.Add(service{"joins", n.watchJoins})
	supervisor.Add(service{"reconcile", n.reconcileLoop})
	supervisor.Add(service{"reach", n.watchReach})
	if n.mdns {
		supervisor.Add(service{"mdns", n.serveMDNS})
	}
	if n.dht {
		supervisor.Add(service{"lookup", n.lookupLoop})
	}
	switch {
	case n.relay && n.role == record.RoleSuper:
		supervisor.Add(service{"relay", n.serveRelay})
	case n.relay:
		supervisor.Add(service{"places", n.keepPlaces})
	}
	n.log.Info("network up", "peer", n.id, "addrs", n.Addrs(), "federation", n.federation, "limits", n.limits)
	err = supervisor.Serve(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("network services: %w", err)
}

// Close ends everything at once and waits for it; needed only if Serve is never called. Later calls do nothing.
func (n *Network) Close() error {
	n.stopTasks()
	err := n.host.Close()
	n.tasks.Wait()
	n.acceptMu.Lock()
	defer n.acceptMu.Unlock()
	n.closed = true
	for f := range n.feeds {
		f.close()
	}
	clear(n.feeds)
	if err != nil {
		return fmt.Errorf("close host: %w", err)
	}
	return nil
}

// service is a loop under supervision: it ends with its context, and is started again if it fails before.
type service struct {
	name string
	run  func(context.Context) error
}

func (s service) Serve(ctx context.Context) error { return s.run(ctx) }
func (s service) String() string                  { return s.name }

// task runs f in a goroutine that Close waits for.
func (n *Network) task(f func(ctx context.Context)) {
	n.taskMu.Lock()
	defer n.taskMu.Unlock()
	if n.ctx.Err() == nil {
		n.tasks.Go(func() { f(n.ctx) })
	}
}

// stopTasks ends the context of all tasks; none begins after it.
func (n *Network) stopTasks() {
	n.taskMu.Lock()
	defer n.taskMu.Unlock()
	n.cancel()
}

// connected is called by libp2p before it accepts streams on c; it must not block.
func (n *Network) connected(_ network.Network, c network.Conn) {
	n.gate.connected(c.RemotePeer())
	if c.Stat().Direction == network.DirOutbound {
		n.task(func(ctx context.Context) { n.greet(ctx, c) })
	}
}

func (n *Network) disconnected(_ network.Network, c network.Conn) {
	p := c.RemotePeer()
	if n.host.Network().Connectedness(p) != network.NotConnected {
		return
	}
	n.host.ConnManager().Unprotect(p, memberTag)
	n.places.lost(p)
	if n.gate.disconnected(p) {
		n.log.Info("member disconnected", "peer", p)
		n.contacts.parted(p)
		return
	}
	n.meter.forget(p)
}

// welcome begins all exchange with a peer that has proved itself and accepted this node's proof.
func (n *Network) welcome(p peer.ID) {
	first := n.gate.open(p)
	n.host.ConnManager().Protect(p, memberTag)
	n.announce(p)
	if !first {
		return
	}
	name, role := n.describe(p)
	n.log.Info("member connected", "peer", p, "name", name, "role", role)
	n.contacts.met(p, n.host.Peerstore().Addrs(p))
	n.reconcileWith(p)
	wake(n.upkeep.places)
	n.task(func(ctx context.Context) { n.measure(ctx, p) })
}

// refuse counts, logs and disconnects a peer that is no member.
func (n *Network) refuse(p peer.ID, reason error) {
	if !n.gate.evict(p) {
		return // being refused already
	}
	n.refusedPeers.Add(1)
	var addr ma.Multiaddr
	if conns := n.host.Network().ConnsToPeer(p); len(conns) > 0 {
		addr = conns[0].RemoteMultiaddr()
	}
	n.log.Warn("peer refused", "peer", p, "addr", addr, "reason", reason)
	n.host.Network().ClosePeer(p)
}

// Publish stores r and gossips it. r may be of another author, for example a revocation signed with the founder's key. Members that
// are not reached now get it by sync, so no peer in reach is no error.
func (n *Network) Publish(ctx context.Context, r *record.Signed) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := n.accept(r, n.id); err != nil {
		return fmt.Errorf("publish %s record %s: %w", r.Kind, r.CID, err)
	}
	n.spread(r)
	return nil
}

// spread gossips an accepted record, if gossip is up. What this node writes beyond the quota that others have for it, as a delegate that admits
// hundreds at once does, they get by sync.
func (n *Network) spread(r *record.Signed) {
	if r.Author == n.id && n.id != n.roster.founder {
		if err := n.conduct.chargeOwn(r); err != nil {
			n.log.Debug("own record not gossiped; members will get it by sync", "record", r.CID, "err", err)
			return
		}
	}
	if g := n.gossip.Load(); g != nil {
		if err := g.publish(n.ctx, r); err != nil && n.ctx.Err() == nil {
			n.log.Warn("record not gossiped; members will get it by sync", "record", r.CID, "err", err)
		}
	}
}

// Subscribe calls f, in one goroutine, in order, for every record newly accepted from now on (own ones too). cancel ends it; f may be
// running once more while cancel returns. f may take its time: records queue up, none is dropped.
func (n *Network) Subscribe(f func(*record.Signed)) (cancel func()) {
	d := startFeed(f)
	n.acceptMu.Lock()
	defer n.acceptMu.Unlock()
	if n.closed {
		d.close()
	} else {
		n.feeds[d] = struct{}{}
	}
	return func() {
		n.acceptMu.Lock()
		defer n.acceptMu.Unlock()
		delete(n.feeds, d)
		d.close()
	}
}

// Genesis returns the federation's genesis body.
func (n *Network) Genesis() (*record.Federation, error) {
	return record.BodyAs[record.Federation](n.genesis)
}

// ID is this node's peer id.
func (n *Network) ID() peer.ID { return n.id }

// Addrs are the addresses that others can dial, full multiaddrs with /p2p/ID.
func (n *Network) Addrs() []string {
	addrs := n.host.Addrs()
	texts := make([]string, 0, len(addrs))
	for _, a := range addrs {
		texts = append(texts, a.String()+"/p2p/"+n.id.String())
	}
	return texts
}

// proof is the best certificate chain of this node: a renewed one replaces the one it started with.
func (n *Network) proof() []*record.Signed {
	c, err := n.roster.member(n.id)
	if err != nil {
		return nil
	}
	return c.chain()
}

// Traffic counts what went over the wire and what was refused.
func (n *Network) Traffic() Traffic {
	total := n.meter.GetBandwidthTotals()
	t := Traffic{
		Sent:            total.TotalOut,
		Received:        total.TotalIn,
		ByProtocol:      make(map[string][2]int64),
		RejectedRecords: n.rejectedRecords.Load(),
		RejectedBlobs:   n.rejectedBlobs.Load(),
		RefusedPeers:    n.refusedPeers.Load(),
	}
	for proto, s := range n.meter.GetBandwidthByProtocol() {
		if proto == "" {
			proto = "negotiation"
		}
		t.ByProtocol[string(proto)] = [2]int64{s.TotalOut, s.TotalIn}
	}
	return t
}

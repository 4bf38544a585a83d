package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/thejerf/suture/v4"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// Version of mlecs.
const Version = "0.1.0"

// Node is a running node.
type Node struct {
	home *Home
	cfg  Config
	base *slog.Logger // what the subsystems' loggers are made from
	log  *slog.Logger
	key  crypto.PrivKey
	self peer.ID

	// Set by Run, before any service starts.
	store   *storage.Store
	member  *membership
	genesis *genesis
	seat    seat
	ledger  *ledger
	network *p2p.Network
	stop    context.CancelCauseFunc
	tracing tracing

	levels       logLevels
	registry     *prometheus.Registry
	live         *live
	events       *events
	gate         *gate
	baselineRows chan *learner
	avoided      avoided     // the learner's alone
	standing     cid.Cid     // the garbage service's alone: see noteStanding
	guest        atomic.Bool // a super-peer that does not close rounds yet: see super.settle
	roomMade     uint64      // the garbage service's alone: the round at which it last gave up rounds

	signing  sync.Mutex   // one record at a time gets the next sequence number
	storing  sync.RWMutex // held for reading from the first blob or file that a learner stores until it is on record
	sweeping sync.Mutex   // garbage collection and backup exclude each other
	carried  carried

	factsMu sync.Mutex
	mu      sync.Mutex
	fatal   error // what ended the node
}

// New assembles a node on h. It listens on nothing until Run.
func New(h *Home, log *slog.Logger) (*Node, error) {
	cfg, err := h.Config()
	if err != nil {
		return nil, err
	}
	key, err := h.identity()
	if err != nil {
		return nil, err
	}
	self, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	if log == nil {
		log = quiet()
	}
	level, err := cfg.logLevel()
	if err != nil {
		return nil, err
	}
	levels, events := newLogLevels(level), newEvents()
	return &Node{
		home: h, cfg: cfg, base: log, log: levels.logger(log, logNode), levels: levels, registry: newRegistry(), key: key, self: self, events: events,
		live: newLive(events), gate: newGate(), tracing: noTracing(), baselineRows: make(chan *learner, 1), avoided: avoided{},
	}, nil
}

// Serve runs the node of a home until ctx ends or the API is asked to stop, or it fails for good; after a change of its identity, anew.
func Serve(ctx context.Context, h *Home, log *slog.Logger) error {
	for {
		n, err := New(h, log)
		if err != nil {
			return err
		}
		if err = n.Run(ctx); !errors.Is(err, errRotated) {
			return err
		}
		n.log.Info("node starts again with its new identity")
	}
}

// Run serves until ctx ends or the API is asked to stop (nil error), or a service fails for good. It may be called once. The error is errRotated
// if the node has a new key: a new Node of the same home goes on (see Serve).
func (n *Node) Run(ctx context.Context) (err error) {
	if n.cfg.Threads > 0 {
		runtime.GOMAXPROCS(n.cfg.Threads)
	}
	ctx, n.stop = context.WithCancelCause(ctx)
	defer n.stop(nil)
	if n.store, err = openStore(n.home.Dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.store.Close()) }()
	n.store.SetQuota(n.cfg.DiskQuota << 20)
	if err := n.ownIdentity(); err != nil {
		return err
	}
	ln, err := api.Listen(n.home.Dir)
	if err != nil {
		return err
	}
	defer ln.Close()
	if err := n.assemble(); err != nil {
		return err
	}
	defer func() {
		n.network.Close()
		n.storeTraffic()
	}()
	n.tracing = n.newTracing()
	defer n.tracing.close()
	cancel := n.network.Subscribe(n.take)
	defer cancel()
	v := &runningView{node: n, started: time.Now()}
	n.registry.MustRegister(metrics{v})
	handler := v.handler()
	v.door = newDoor(n.home, n.cfg.API, handler)
	if n.cfg.API.Listen != "" {
		if err := v.door.open(); err != nil {
			return err
		}
		n.log.Info("API over TCP", "url", v.door.url)
	}
	v.view = view{home: n.home, cfg: n.cfg, store: n.store, recent: n.ledger, full: n.ledger, member: n.member, genesis: n.genesis, seat: n.seat}
	n.log.Info("node runs", "name", n.cfg.Name, "peer", n.self, "role", n.member.Role, "federation", n.genesis.Name)

	sup := suture.New("node", suture.Spec{EventHook: n.event, Timeout: 5 * time.Second})
	// Neither the host nor the socket can be opened twice: without them the node ends.
	sup.Add(service{n, "network", n.network.Serve, always})
	sup.Add(service{n, "api", func(ctx context.Context) error { return api.Serve(ctx, ln, handler) }, always})
	sup.Add(service{n, "door", v.door.serve, always})
	sup.Add(service{n, "events", n.watchPeers, always})
	sup.Add(service{n, "learner", n.learn, isFinal})
	sup.Add(service{n, "members", n.keepMembers, isFinal})
	sup.Add(service{n, "garbage", n.collectGarbage, isFinal})
	sup.Add(service{n, "traffic", n.countTraffic, isFinal})
	sup.Add(service{n, "thrift", n.giveBack, isFinal})
	sup.Add(service{n, "comparison", n.compare, isFinal})
	err = sup.Serve(ctx)
	if fatal := n.fatalError(); fatal != nil {
		return fatal
	}
	if errors.Is(context.Cause(ctx), errRotated) {
		return errRotated
	}
	if ctx.Err() != nil {
		n.log.Info("node stopped", "reason", context.Cause(ctx))
		return nil
	}
	return err
}

// assemble reads what the store holds and opens the network.
func (n *Node) assemble() (err error) {
	if n.member, err = loadMembership(n.store); err != nil {
		return err
	}
	if n.cfg.Role != "" && n.cfg.Role != string(n.member.Role) {
		return api.Advise(fmt.Errorf("this node's config has role %s, and its certificate is for role %s", n.cfg.Role, n.member.Role), "change `role` in %s", n.home.path(configFile))
	}
	if n.genesis, err = loadGenesis(n.store, n.member.Federation); err != nil {
		return err
	}
	if n.seat, err = n.genesis.seatOf(n.member.Role, n.cfg); err != nil {
		return err
	}
	if n.member.Role == record.RoleEdge && n.cfg.Data == "" {
		return errNoData(n.home)
	}
	if n.ledger, err = newLedger(n.store); err != nil {
		return err
	}
	var known facts
	if _, err := getJSON(n.store, keyFacts, &known); err != nil {
		return err
	}
	if _, err := getJSON(n.store, keyTraffic, &n.carried.before); err != nil {
		return err
	}
	known.Compared = false // the comparison may have been switched on since: its service tells
	n.live.learn(func(f *facts) { *f = known })
	n.network, err = n.home.openNetwork(n.store, n.cfg, n.member, n.genesis, n.levels.logger(n.base, logP2P), n.registry)
	if err != nil {
		return err
	}
	n.guest.Store(true) // before anybody is connected: they hear of it first
	n.tellStanding()
	return nil
}

// service makes a part of the node one of suture's: it ends with its context, and ends the whole node with an error that is for good.
type service struct {
	node *Node
	name string
	run  func(context.Context) error
	good func(error) bool // for good
}

func always(error) bool      { return true }
func isFinal(err error) bool { return errors.Is(err, errFinal) }

func (s service) String() string { return s.name }

// Serve runs the part; suture starts it again when it returns.
func (s service) Serve(ctx context.Context) error {
	err := s.run(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = errors.New("it ended by itself")
	}
	err = fmt.Errorf("%s: %w", s.name, err)
	s.node.live.fail(err)
	if s.good(err) {
		s.node.end(err)
		return suture.ErrTerminateSupervisorTree
	}
	return err
}

// end keeps the first error that is for good.
func (n *Node) end(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fatal == nil {
		n.fatal = err
	}
}

func (n *Node) fatalError() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fatal
}

// event logs what the supervisor saw.
func (n *Node) event(e suture.Event) {
	switch e := e.(type) {
	case suture.EventServicePanic:
		n.live.fail(fmt.Errorf("%s crashed: %s", e.ServiceName, e.PanicMsg))
		n.log.Error("service crashed", "service", e.ServiceName, "panic", e.PanicMsg, "stack", e.Stacktrace, "restarting", e.Restarting)
	case suture.EventServiceTerminate:
		n.log.Warn("service failed", "service", e.ServiceName, "err", fmt.Sprint(e.Err), "restarting", e.Restarting)
	case suture.EventStopTimeout:
		n.log.Warn("service does not stop", "service", e.ServiceName)
	case suture.EventBackoff:
		n.log.Warn("services fail too often: waiting before the next start")
	}
}

package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// Options of a simulation; times are virtual.
type Options struct {
	Nodes    int
	Records  int           // published one after the other, each by a node that the seed chooses
	Latency  time.Duration // of a link, one way
	Bits     int           // a second that a node can send, and receive
	Members  int           // that a node wants to be connected to
	Contacts int           // members whose addresses a node knows at the start
	Seed     uint64
	Dir      string // for the nodes' homes, best in memory; empty: /dev/shm, or the system's folder for temporary files
}

// Defaults are 50 nodes on links of 25 ms and 100 Mbit/s.
func Defaults() Options {
	return Options{Nodes: 50, Records: 5, Latency: 25 * time.Millisecond, Bits: 100_000_000, Members: 6, Contacts: 4, Seed: 1}
}

// MaxNodes bounds Nodes: the addresses of the simulated network, and any machine's memory.
const MaxNodes = 10_000

func (o Options) validate() error {
	switch {
	case o.Nodes < 2 || o.Nodes > MaxNodes:
		return fmt.Errorf("%d nodes: want 2 to %d", o.Nodes, MaxNodes)
	case o.Records < 1 || o.Records > 1000:
		return fmt.Errorf("%d records: want 1 to 1000", o.Records)
	case o.Latency < 0 || o.Latency > 10*time.Second:
		return fmt.Errorf("latency of %s: want 0 to 10s", o.Latency)
	case o.Bits < 1e5 || o.Members < 1 || o.Contacts < 1:
		return errors.New("links need at least 100000 bits a second, and nodes at least one member and one contact")
	}
	return nil
}

const (
	minFree    = 1 << 20                // bytes that stores leave free: homes are thrown away
	settleStep = time.Second            // between looks at whether all nodes have found each other
	settleMost = 5 * time.Minute        // until then
	meshTime   = 5 * time.Second        // for GossipSub to form its mesh, by its heartbeats of a second
	spacing    = 250 * time.Millisecond // between looks at how far a record has come, and between records
	patience   = time.Minute            // for a record to reach all
)

// Run simulates one federation. The result tells how far records came also if not all reached every node.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := errors.Join(o.validate(), ctx.Err()); err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	parent := o.Dir
	if _, err := os.Stat("/dev/shm"); parent == "" && err == nil {
		parent = "/dev/shm"
	}
	dir, err := os.MkdirTemp(parent, "mlecs-sim-")
	if err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	defer os.RemoveAll(dir)
	started, cpu := time.Now(), processorTime()
	r := &Result{Nodes: o.Nodes}
	// The caller's context must not be waited for in the bubble, which would keep its clock from moving; it can be asked.
	if err := inVirtualTime(func() error {
		return inWorld(ctx.Err, o, dir, r, func(w *world) error { return w.publish(r) })
	}); err != nil {
		return nil, fmt.Errorf("simulate %d nodes: %w", o.Nodes, err)
	}
	r.measured(time.Since(started), processorTime()-cpu)
	return r, nil
}

// world is the nodes of a simulation.
type world struct {
	cancelled func() error
	opt       Options
	fed       *federation
	wire      *wire
	rand      *rand.Rand
	nodes     []*simNode

	mu      sync.Mutex
	arrived map[cid.Cid][]time.Time // when each record reached nodes, in that order
}

type simNode struct {
	net   *p2p.Network
	store *storage.Store
	port  port
	seq   uint64
}

// inWorld starts the nodes, waits until they have settled, and calls f. It runs in the bubble; cancelled gives the reason to end early.
func inWorld(cancelled func() error, o Options, dir string, r *Result, f func(*world) error) (err error) {
	fed, err := newFederation(dir, o.Nodes, o.Seed)
	if err != nil {
		return err
	}
	w := &world{
		cancelled: cancelled,
		opt:       o, fed: fed, wire: newWire(o.Latency, o.Bits), rand: rand.New(rand.NewPCG(o.Seed, uint64(o.Nodes))),
		arrived: make(map[cid.Cid][]time.Time),
	}
	serving, stop := context.WithCancel(context.Background())
	var services sync.WaitGroup
	failed := make([]error, o.Nodes)
	w.wire.net.Start()
	defer func() {
		stop()
		services.Wait()
		for _, n := range w.nodes {
			failed = append(failed, n.store.Close())
		}
		w.wire.net.Close()
		err = errors.Join(append(failed, err)...)
	}()
	for i := range o.Nodes {
		n, err := w.start(i)
		if err != nil {
			return err
		}
		services.Go(func() { failed[i] = n.net.Serve(serving) })
	}
	if err := w.settle(r); err != nil {
		return err
	}
	return f(w)
}

func (w *world) start(i int) (*simNode, error) {
	store, err := w.fed.open(i)
	if err != nil {
		return nil, err
	}
	n := &simNode{store: store}
	cfg := p2p.Config{Listen: []string{w.wire.addr(i)}, Limits: p2p.Limits{Preset: "local", Members: w.opt.Members}}
	for _, k := range w.rand.Perm(i)[:min(i, w.opt.Contacts)] {
		cfg.Bootstrap = append(cfg.Bootstrap, w.wire.addr(k)+"/p2p/"+w.fed.ids[k].String())
	}
	n.net, err = p2p.New(cfg, p2p.Deps{Key: w.fed.keys[i], Store: store, Federation: w.fed.genesis.CID, Host: w.wire.options(&n.port)})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("node %d: %w", i, err), store.Close())
	}
	n.net.Subscribe(func(s *record.Signed) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.arrived[s.CID] = append(w.arrived[s.CID], time.Now())
	})
	w.nodes = append(w.nodes, n)
	return n, nil
}

// settle waits until every node has the members that it wants, and gossip has had time to form its mesh.
func (w *world) settle(r *Result) error {
	began := time.Now()
	want := min(w.opt.Members, w.opt.Nodes-1)
	for {
		time.Sleep(settleStep)
		least, sum := w.opt.Nodes, 0
		for _, n := range w.nodes {
			k := n.connected()
			least, sum = min(least, k), sum+k
		}
		r.LeastMembers, r.MeanMembers = least, float64(sum)/float64(len(w.nodes))
		r.SettleSeconds = time.Since(began).Seconds()
		switch {
		case w.cancelled() != nil:
			return w.cancelled()
		case least >= want:
			time.Sleep(meshTime)
			return w.cancelled()
		case time.Since(began) > settleMost:
			return fmt.Errorf("after %s a node has %d members, and wants %d", settleMost, least, want)
		}
	}
}

func (n *simNode) connected() (count int) {
	for _, p := range n.net.Peers() {
		if p.Role != "" {
			count++
		}
	}
	return count
}

// publish sends the records and follows them.
func (w *world) publish(r *Result) error {
	before := w.gossiped()
	for k := range w.opt.Records {
		i := w.rand.IntN(w.opt.Nodes)
		n := w.nodes[i]
		n.seq++
		s, err := w.fed.delta(i, uint64(k), n.seq)
		if err != nil {
			return err
		}
		at := time.Now()
		if err := n.net.Publish(context.Background(), s); err != nil {
			return err
		}
		for w.count(s.CID) < w.opt.Nodes && time.Since(at) < patience && w.cancelled() == nil {
			time.Sleep(spacing)
		}
		if err := w.cancelled(); err != nil {
			return err
		}
		w.mu.Lock()
		times := slices.Clone(w.arrived[s.CID])
		w.mu.Unlock()
		r.follow(at, times, w.opt.Nodes)
		r.RecordBytes = len(s.Envelope)
	}
	nodes := float64(w.opt.Nodes)
	r.GossipBytes = float64(w.gossiped()-before) / nodes / float64(w.opt.Records)
	for _, n := range w.nodes {
		r.WireBytes += float64(n.port.sent()) / nodes
	}
	return nil
}

func (w *world) count(c cid.Cid) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.arrived[c])
}

// gossiped are the bytes of GossipSub that all nodes have sent.
func (w *world) gossiped() (sum int64) {
	for _, n := range w.nodes {
		for proto, bytes := range n.net.Traffic().ByProtocol {
			if strings.HasPrefix(proto, "/meshsub/") {
				sum += bytes[0]
			}
		}
	}
	return sum
}

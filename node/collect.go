package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"go.opentelemetry.io/otel/attribute"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/storage/record"
)

// input is a delta with its tensors, ready to be aggregated.
type input struct {
	*deltaEntry
	delta *method.Delta
}

// collect gathers the deltas of round until a quorum of them is in or the deadline has passed, and gives them in order of CID, with the
// late ones of rounds before. Those alone close no round. It gives nil when another aggregate has taken before's place, or another
// super-peer leads.
func (s *super) collect(ctx context.Context, round uint64, before *aggregateEntry) ([]input, error) {
	c := collection{
		super: s, round: round, before: before, origins: newOrigins(s.store, s.genesis, s.ledger, s.fetchBlobs),
		state: map[cid.Cid]*attempt{}, arrived: make(chan struct{}, 1), slots: make(chan struct{}, parallelDeltas),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer c.wait.Wait()
	defer cancel()
	closes := time.After(s.deadline())
	overdue := false
	tick := time.NewTicker(retryEvery) // members come and go without a record
	defer tick.Stop()
	for {
		changed := s.ledger.next()
		if a := s.ledger.newest(s.avoided.skip); a == nil || a.cid != before.cid || !s.leads() {
			return nil, nil
		}
		c.begin(ctx)
		good, onTime := c.good()
		if onTime > 0 && (overdue || onTime >= s.quorum()) {
			return good, nil
		}
		s.live.progress(phaseCollecting, onTime, s.quorum(), 0)
		select {
		case <-changed:
		case <-c.arrived:
		case <-tick.C:
		case <-closes:
			overdue = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// quorum is how many deltas close the round before its deadline, with the edges that are connected now.
func (s *super) quorum() int {
	live := 0
	for _, m := range s.network.Members() {
		if m.Role == record.RoleEdge && m.Connected {
			live++
		}
	}
	return quorumOf(s.genesis.Policy, live)
}

// quorumOf is the policy's share of the live edges, and no less than its minimum.
func quorumOf(p record.RoundPolicy, live int) int {
	share := int(math.Ceil(p.Quorum*float64(live) - 1e-9)) // 0.7*10 is more than 7 in floating point
	return max(1, share, int(min(p.Min, record.MaxInputs)))
}

// collection is the state of one round's deltas at the leader.
type collection struct {
	*super
	round   uint64
	before  *aggregateEntry
	wait    sync.WaitGroup
	origins *origins
	arrived chan struct{} // a fetch has ended
	slots   chan struct{} // one for each fetch under way

	mu    sync.Mutex
	state map[cid.Cid]*attempt
}

// attempt is what became of one delta.
type attempt struct {
	delta  *method.Delta // nil until fetched
	busy   bool
	bad    bool      // left out for good
	not    time.Time // before this moment no new try
	failed int
}

// begin starts to fetch the deltas that are not here yet.
func (c *collection) begin(ctx context.Context) {
	for _, d := range c.candidates() {
		c.mu.Lock()
		a := c.state[d.cid]
		if a == nil {
			a = &attempt{}
			c.state[d.cid] = a
		}
		start := !a.busy && !a.bad && a.delta == nil && time.Now().After(a.not)
		a.busy = a.busy || start
		c.mu.Unlock()
		if start {
			c.wait.Go(func() { c.fetch(ctx, d, a) })
		}
	}
}

// candidates are the deltas to aggregate, once they are here.
func (c *collection) candidates() []*deltaEntry {
	maxAge := uint64(method.MaxAge)
	if c.genesis.method.Stale == 0 {
		maxAge = 0
	}
	return c.ledger.candidates(c.round, c.before, maxAge, func(d *deltaEntry) bool {
		why := c.misfit(d)
		if why != "" {
			c.leaveOut(d, errors.New(why))
		}
		return why == ""
	})
}

// misfit tells why a delta cannot be aggregated, "" if it can.
func (c *collection) misfit(d *deltaEntry) string {
	m, ok := c.network.Member(d.Author)
	switch {
	case !ok:
		return "its author is no member any more"
	case m.Role != record.RoleEdge:
		return "its author is no edge"
	case !c.genesis.edgeBase(d.body.Base):
		return "it is on another base model"
	case d.body.Rows == 0 || len(d.body.Components) == 0:
		return "it holds nothing"
	}
	return ""
}

// leaveOut notes, once, that a delta is of no use.
func (c *collection) leaveOut(d *deltaEntry, why error) {
	c.mu.Lock()
	a := c.state[d.cid]
	if a == nil {
		a = &attempt{}
		c.state[d.cid] = a
	}
	known := a.bad
	a.bad = true
	c.mu.Unlock()
	if !known {
		c.live.rejectBlob()
		c.log.Warn("delta left out", "round", c.round, "delta", d.cid, "author", d.Author, "err", why)
	}
}

// parallelDeltas bounds the deltas that are fetched at once.
const parallelDeltas = 8

func (c *collection) fetch(ctx context.Context, d *deltaEntry, a *attempt) {
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	fetching, fetched := c.span(ctx, spanFetch, c.round, attribute.String("mlecs.delta", d.cid.String()), attribute.String("mlecs.author", d.Author.String()))
	delta, err := c.fetchDelta(fetching, d, c.origins)
	fetched(err)
	if errors.Is(err, errBadBlob) {
		c.leaveOut(d, err)
	}
	c.mu.Lock()
	a.busy, a.delta = false, delta
	if err != nil && !a.bad {
		a.failed++
		a.not = time.Now().Add(retryEvery * time.Duration(min(a.failed, 10)))
	}
	c.mu.Unlock()
	if err != nil && ctx.Err() == nil && !errors.Is(err, errBadBlob) {
		c.log.Info("delta not fetched yet", "round", c.round, "delta", d.cid, "err", fmt.Sprint(err))
	}
	select {
	case c.arrived <- struct{}{}:
	default:
	}
}

// good gives the deltas that are here, in order of CID, as the aggregate record lists them, and how many of them are of this round.
func (c *collection) good() (list []input, onTime int) {
	candidates := c.candidates()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range candidates {
		if a := c.state[d.cid]; a != nil && a.delta != nil {
			list = append(list, input{d, a.delta})
			if d.body.Round == c.round {
				onTime++
			}
		}
	}
	slices.SortFunc(list, func(a, b input) int { return compareCIDs(a.cid, b.cid) })
	return list, onTime
}

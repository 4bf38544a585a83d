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
	"github.com/libp2p/go-libp2p/core/peer"
	"go.opentelemetry.io/otel/attribute"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/storage/record"
)

// input is a delta whose blobs are here, ready to be aggregated.
type input struct {
	*deltaEntry
	delta *method.Input
}

// collect gathers the deltas of the round that follows before until a quorum of them is in or the deadline has passed, and gives the round
// and them in order of CID, with the late ones of rounds before. Those alone close no round. It gives none when another aggregate has
// taken before's place, or it is another super-peer's turn.
func (s *super) collect(ctx context.Context, before *aggregateEntry) (round uint64, list []input, err error) {
	c := collection{
		super: s, before: before, origins: newOrigins(s.store, s.genesis, s.ledger, s.fetchBlobs),
		state: map[cid.Cid]*attempt{}, arrived: make(chan struct{}, 1), slots: make(chan struct{}, parallelDeltas),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer c.wait.Wait()
	defer cancel()
	tick := time.NewTicker(retryEvery) // members come and go without a record
	defer tick.Stop()
	for {
		changed := s.ledger.next()
		s.observe()
		if a := s.ledger.newest(s.avoided.skip); a == nil || a.cid != before.cid || s.paused() || !s.leads() {
			return 0, nil, nil
		}
		c.round = s.frontier(before, c.fits)
		candidates := c.candidates()
		c.begin(ctx, candidates)
		good, onTime := c.good(candidates)
		left := s.deadline() - time.Since(s.turn.opened)
		quorum := s.quorum(c.coming(candidates))
		if onTime > 0 && (left <= 0 || onTime >= quorum) {
			return c.round, good, nil
		}
		s.live.progress(phaseCollecting, onTime, quorum, 0)
		overdue := time.NewTimer(max(left, retryEvery))
		select {
		case <-changed:
		case <-c.arrived:
		case <-tick.C:
		case <-overdue.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
		overdue.Stop()
		if err != nil {
			return 0, nil, err
		}
	}
}

// frontier is the round to collect for.
func (s *super) frontier(before *aggregateEntry, fits func(*deltaEntry) bool) uint64 {
	round := s.ledger.frontier(before, fits)
	if last := s.policy().Rounds; last > 0 {
		round = min(round, max(last, before.body.Round+1))
	}
	return round
}

// quorum is how many deltas close the round before its deadline: the policy's share of the edges that are there. Those are the connected
// ones that did not miss the last rounds, and those whose deltas are coming.
func (s *super) quorum(coming []peer.ID) int {
	there := coming
	for _, edge := range s.liveEdges() {
		if s.pace.waitsFor(edge) && !slices.Contains(there, edge) {
			there = append(there, edge)
		}
	}
	return quorumOf(s.policy(), len(there))
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
	delta  *method.Input // nil until fetched
	busy   bool
	bad    bool      // left out for good
	not    time.Time // before this moment no new try
	failed int
}

// begin starts to fetch the deltas that are not here yet.
func (c *collection) begin(ctx context.Context, candidates []*deltaEntry) {
	round := c.round
	for _, d := range candidates {
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
			c.wait.Go(func() { c.fetch(ctx, round, d, a) })
		}
	}
}

// candidates are the deltas to aggregate, once they are here.
func (c *collection) candidates() []*deltaEntry {
	maxAge := uint64(method.MaxAge)
	if c.genesis.method.Stale == 0 {
		maxAge = 0
	}
	return c.ledger.candidates(c.round, c.before, maxAge, c.fits)
}

// fits tells whether a delta is of any use.
func (c *collection) fits(d *deltaEntry) bool {
	why := c.misfit(d)
	if why != "" {
		c.leaveOut(d, errors.New(why))
	}
	return why == ""
}

// coming are the authors of the round's deltas that are here, or are being fetched for the first time.
func (c *collection) coming(candidates []*deltaEntry) []peer.ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	var authors []peer.ID
	for _, d := range candidates {
		if a := c.state[d.cid]; d.body.Round == c.round && a != nil && !a.bad && (a.delta != nil || a.failed == 0) {
			authors = append(authors, c.ledger.who(d.Author))
		}
	}
	return authors
}

// misfit tells why a delta cannot be aggregated, "" if it can.
func (c *collection) misfit(d *deltaEntry) string {
	m, ok := c.network.Member(c.ledger.who(d.Author))
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
		c.log.Warn("delta left out", "round", d.body.Round, "delta", d.cid, "author", d.Author, "err", why)
	}
}

// parallelDeltas bounds the deltas that are fetched at once.
const parallelDeltas = 8

func (c *collection) fetch(ctx context.Context, round uint64, d *deltaEntry, a *attempt) {
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	fetching, fetched := c.span(ctx, spanFetch, round, attribute.String("mlecs.delta", d.cid.String()), attribute.String("mlecs.author", d.Author.String()))
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
		c.log.Info("delta not fetched yet", "round", d.body.Round, "delta", d.cid, "err", fmt.Sprint(err))
	}
	select {
	case c.arrived <- struct{}{}:
	default:
	}
}

// good gives the deltas that are here, in order of CID, as the aggregate record lists them, and how many of them are of this round.
func (c *collection) good(candidates []*deltaEntry) (list []input, onTime int) {
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

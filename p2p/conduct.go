package p2p

import (
	"fmt"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

// Faults and what they cost a peer. From graylisted on, until half of that is forgotten, a peer is not listened to: gossip drops what it sends,
// and no sync and no blob is exchanged with it. Half of the cost is forgotten after every faultHalfLife.
const (
	faultInvalid  = 20 // a record that breaks a rule
	faultBadBlob  = 40 // bytes that do not match their CID
	faultOverfull = 2  // a record of its own beyond the quota
	faultReplay   = 2  // a message that it has sent several times before
	faultStream   = 10 // one more stream of gossip, after many: each ends by a message that is too large or no message

	graylisted    = 200
	faultHalfLife = 5 * time.Minute
)

// conduct remembers how peers behave: what authors have used of their quota, and what peers have done wrong. Safe for concurrent use.
type conduct struct {
	quota  Quota
	period time.Duration // a round at most
	now    func() time.Time

	mu     sync.Mutex
	round  uint64
	opened time.Time
	policy uint64 // sequence number of the one in force
	used   map[peer.ID]*usage
	recent map[peer.ID]*usage // of the last minute
	swept  time.Time          // when recent lost those that were long silent
	stored map[peer.ID]int    // records of each author
	faults map[peer.ID]fault
}

type fault struct {
	cost float64
	at   time.Time
	gray bool // was put on the gray list, and has not left it by then
}

func newConduct(q Quota, deadline time.Duration, now func() time.Time) *conduct {
	return &conduct{
		quota: q.withDefaults(), period: max(deadline, time.Minute), now: now,
		opened: now(), used: make(map[peer.ID]*usage), recent: make(map[peer.ID]*usage), stored: make(map[peer.ID]int), faults: make(map[peer.ID]fault),
	}
}

// blame adds to what p has done wrong, and tells whether that has just put it on the gray list.
func (c *conduct) blame(p peer.ID, cost float64) (grayed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	after, was := c.costOf(p)+cost, c.grayNow(p)
	c.faults[p] = fault{after, c.now(), was || after >= graylisted}
	if len(c.faults) > maxFaults {
		maps.DeleteFunc(c.faults, func(p peer.ID, _ fault) bool { return c.costOf(p) < 1 })
	}
	return !was && after >= graylisted
}

// inherit gives to what from has done wrong and used of its quotas, once or several times: a new key is no fresh start.
func (c *conduct) inherit(from, to peer.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.faults[from]; ok && c.costOf(from) > c.costOf(to) {
		c.faults[to] = f
	}
	for _, of := range []map[peer.ID]*usage{c.used, c.recent} {
		if u := of[from]; u != nil && of[to] == nil {
			copied := *u
			of[to] = &copied
		}
	}
}

// maxFaults is how many peers are remembered before those that have long behaved are forgotten.
const maxFaults = 4096

func (c *conduct) costOf(p peer.ID) float64 {
	f, ok := c.faults[p]
	if !ok {
		return 0
	}
	return f.cost * math.Exp2(-float64(c.now().Sub(f.at))/float64(faultHalfLife))
}

// cost is what p has done wrong and is not forgotten.
func (c *conduct) cost(p peer.ID) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.costOf(p)
}

func (c *conduct) isGray(p peer.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.grayNow(p)
}

// grayNow keeps a peer on the list for a while: at the threshold itself it would be forgiven within a second. Callers hold mu.
func (c *conduct) grayNow(p peer.ID) bool { return c.faults[p].gray && c.costOf(p) > graylisted/2 }

// score is p's part of the score that gossip keeps: it ignores p just while p is on the gray list.
func (c *conduct) score(p peer.ID) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	cost := c.costOf(p)
	if c.grayNow(p) {
		return -cost - 2*graylisted
	}
	return -min(cost, graylisted/2)
}

// blame notes a fault of a peer.
func (n *Network) blame(p peer.ID, cost float64) {
	if p != n.id && n.conduct.blame(p, cost) {
		name, _ := n.describe(p)
		n.log.Warn("peer graylisted", "peer", p, "name", name, "half_forgotten_after", faultHalfLife)
	}
}

// listensTo tells whether streams of p are served: it is a proved member, and not on the gray list.
func (n *Network) listensTo(p peer.ID) bool { return n.gate.proved(p) && !n.conduct.isGray(p) }

// withinQuota counts a record that gossip brought, and blames the author that floods its neighbours. The founder has no quota. refund takes back
// what was counted.
func (n *Network) withinQuota(s *record.Signed, from peer.ID) (refund func(), err error) {
	if s.Author == n.roster.founder || n.store.HasRecord(s.CID) || n.roster.news(s) {
		return func() {}, nil
	}
	err = n.conduct.charge(s)
	if err != nil && from == s.Author {
		n.blame(from, faultOverfull)
	}
	return func() { n.conduct.refund(s) }, err
}

// learnConduct counts what is stored.
func (n *Network) learnConduct() error {
	authors, err := n.store.Authors()
	if err != nil {
		return err
	}
	for author, count := range authors {
		n.conduct.add(author, count)
	}
	for s, err := range n.store.Records(record.KindPolicy) {
		if err != nil {
			return fmt.Errorf("read policies: %w", err)
		}
		if s.Author == n.roster.founder {
			n.conduct.ruled(s)
		}
	}
	for s, err := range n.store.Records(record.KindAggregate) {
		if err != nil {
			return fmt.Errorf("read aggregates: %w", err)
		}
		n.conduct.aggregated(s)
	}
	return nil
}

// aggregated notes an aggregate's round.
func (c *conduct) aggregated(s *record.Signed) {
	if body, err := record.BodyAs[record.Aggregate](s); err == nil {
		c.closed(body.Round)
	}
}

// ruled takes the length of a round from a policy of the founder, unless a later one is known.
func (c *conduct) ruled(s *record.Signed) {
	body, err := record.BodyAs[record.Policy](s)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.Seq >= c.policy {
		c.policy, c.period = s.Seq, max(time.Duration(body.Round.Deadline)*time.Millisecond, time.Minute)
	}
}

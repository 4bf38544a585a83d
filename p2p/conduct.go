package p2p

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

// Quota is what a node takes of one author in a round; beyond it it neither stores nor forwards. For what comes by gossip a round ends with an
// aggregate of a later one, or after the federation's deadline (at least a minute). What comes by sync may be years of records at once: of
// an author there may be as many in all as the quota of every round so far. As rounds go by, all members thus end with the same records.
type Quota struct {
	Records int   `yaml:"records"` // an honest author writes two or three; 0: 512
	Bytes   int64 `yaml:"bytes"`   // of records and of the blobs that they announce; 0: 4 GiB
}

const (
	defaultQuotaRecords = 512
	defaultQuotaBytes   = 4 << 30
)

func (q Quota) withDefaults() Quota {
	if q.Records == 0 {
		q.Records = defaultQuotaRecords
	}
	if q.Bytes == 0 {
		q.Bytes = defaultQuotaBytes
	}
	return q
}

// errQuota marks a record beyond its author's quota: not wrong, but not taken in this round.
var errQuota = errors.New("author has used up its quota of the round")

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
	stored map[peer.ID]int // records of each author
	faults map[peer.ID]fault
}

// usage is what one author has used of its quota.
type usage struct {
	records int
	bytes   int64
}

type fault struct {
	cost float64
	at   time.Time
	gray bool // was put on the gray list, and has not left it by then
}

func newConduct(q Quota, deadline time.Duration, now func() time.Time) *conduct {
	return &conduct{
		quota: q.withDefaults(), period: max(deadline, time.Minute), now: now,
		opened: now(), used: make(map[peer.ID]*usage), stored: make(map[peer.ID]int), faults: make(map[peer.ID]fault),
	}
}

// charge counts a record towards its author's quota, unless that is used up.
func (c *conduct) charge(s *record.Signed) error {
	n := int64(len(s.Envelope))
	for _, b := range announced(s) {
		n += b.Bytes
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.opened) >= c.period {
		c.opened = now
		clear(c.used)
	}
	u := c.used[s.Author]
	if u == nil {
		u = &usage{}
		c.used[s.Author] = u
	}
	if u.records+1 > c.quota.Records || u.bytes+n > c.quota.Bytes {
		return fmt.Errorf("%w: %d records and %d bytes", errQuota, u.records, u.bytes)
	}
	u.records++
	u.bytes += n
	return nil
}

// add notes that n records of an author have been stored.
func (c *conduct) add(author peer.ID, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stored[author] += n
}

// room tells whether an author may have one more record in the store, beside some that are about to be stored, as far as the rounds known here
// tell.
func (c *conduct) room(author peer.ID, waiting int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.stored[author] + waiting; uint64(n) >= uint64(c.quota.Records)*(c.round+2) {
		return fmt.Errorf("%w: %d records in %d rounds", errQuota, n, c.round)
	}
	return nil
}

// closed notes an aggregate: one of a later round than before begins new quotas.
func (c *conduct) closed(round uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if round > c.round {
		c.round, c.opened = round, c.now()
		clear(c.used)
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

// withinQuota counts a record that gossip brought, and blames the author that floods its neighbours. The founder has no quota.
func (n *Network) withinQuota(s *record.Signed, from peer.ID) error {
	if s.Author == n.roster.founder || n.store.HasRecord(s.CID) {
		return nil
	}
	err := n.conduct.charge(s)
	if err != nil && from == s.Author {
		n.blame(from, faultOverfull)
	}
	return err
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

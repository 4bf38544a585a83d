package p2p

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

// Quota is what a node takes of one author by gossip; beyond it it neither stores nor forwards. What an author may write in a round bounds long
// rounds, what it may write in a minute short ones. A round ends with an aggregate of a later one, or after the federation's deadline (at least a
// minute); a minute's quota is a bucket that drains evenly, so that all of it may come at once and is back a minute later.
//
// What comes by sync may be years of records at once and is bound by no minute: of an author there may be as many in all as the quota of every
// round so far. What gossip left out comes so, too; as rounds go by, all members thus end with the same records.
type Quota struct {
	Records       int   `yaml:"records"`        // in a round; an honest author writes two or three; 0: 512
	Bytes         int64 `yaml:"bytes"`          // in a round, of records and of the blobs that they announce; 0: 4 GiB
	MinuteRecords int   `yaml:"minute_records"` // 0: 480
	MinuteBytes   int64 `yaml:"minute_bytes"`   // 0: 4 GiB
}

const (
	defaultQuotaRecords  = 512
	defaultQuotaBytes    = 4 << 30
	defaultMinuteRecords = 480 // eight a second: more than two a round even if rounds take a quarter of a second
	defaultMinuteBytes   = 4 << 30
)

func (q Quota) withDefaults() Quota {
	if q.Records == 0 {
		q.Records = defaultQuotaRecords
	}
	if q.Bytes == 0 {
		q.Bytes = defaultQuotaBytes
	}
	if q.MinuteRecords == 0 {
		q.MinuteRecords = defaultMinuteRecords
	}
	if q.MinuteBytes == 0 {
		q.MinuteBytes = defaultMinuteBytes
	}
	return q
}

func (q Quota) validate() error {
	if q.Records < 0 || q.Bytes < 0 || q.MinuteRecords < 0 || q.MinuteBytes < 0 {
		return fmt.Errorf("p2p.quota: %d records and %d bytes a round, %d and %d a minute: none may be below 0; 0 is the default",
			q.Records, q.Bytes, q.MinuteRecords, q.MinuteBytes)
	}
	return nil
}

// errQuota marks a record beyond its author's quota: not wrong, but not taken for the time being.
var errQuota = errors.New("author has used up its quota")

// usage is what one author has used of a quota.
type usage struct {
	records, bytes float64
	at             time.Time // of the last change; of a round's usage unused
}

// drain gives back what a minute's quota of at most so much regains until now.
func (u *usage) drain(records, bytes float64, now time.Time) {
	minutes := max(0, now.Sub(u.at).Minutes())
	u.records, u.bytes, u.at = max(0, u.records-minutes*records), max(0, u.bytes-minutes*bytes), now
}

// ownPart is how much of a quota a node uses by gossip itself: others measure a minute by when records reach them.
const ownPart = 0.9

// charge counts a record towards its author's quotas, unless one of them is used up.
func (c *conduct) charge(s *record.Signed) error { return c.chargePart(s, 1) }

// chargeOwn is charge for a record of this node's, before it is gossiped.
func (c *conduct) chargeOwn(s *record.Signed) error { return c.chargePart(s, ownPart) }

func (c *conduct) chargePart(s *record.Signed, part float64) error {
	n := weigh(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.opened) >= c.period {
		c.opened = now
		clear(c.used)
	}
	if now.Sub(c.swept) >= time.Minute {
		c.swept = now
		maps.DeleteFunc(c.recent, func(_ peer.ID, u *usage) bool { return now.Sub(u.at) >= time.Minute }) // they have all of it again
	}
	round, minute := usageOf(c.used, s.Author), usageOf(c.recent, s.Author)
	minute.drain(float64(c.quota.MinuteRecords), float64(c.quota.MinuteBytes), now)
	if round.records+1 > part*float64(c.quota.Records) || round.bytes+n > part*float64(c.quota.Bytes) {
		return fmt.Errorf("%w of the round: %.0f records and %.0f bytes", errQuota, round.records, round.bytes)
	}
	if minute.records+1 > part*float64(c.quota.MinuteRecords) || minute.bytes+n > part*float64(c.quota.MinuteBytes) {
		return fmt.Errorf("%w of the minute: %.0f records and %.0f bytes", errQuota, minute.records, minute.bytes)
	}
	for _, u := range []*usage{round, minute} {
		u.records++
		u.bytes += n
	}
	return nil
}

// weigh is how many bytes a record counts: its own, and those of the blobs that it announces.
func weigh(s *record.Signed) float64 {
	n := float64(len(s.Envelope))
	for _, b := range announced(s) {
		n += float64(b.Bytes)
	}
	return n
}

// refund takes back the charge for a record that was not stored, for no fault of its author.
func (c *conduct) refund(s *record.Signed) {
	n := weigh(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range []map[peer.ID]*usage{c.used, c.recent} {
		if u := of[s.Author]; u != nil {
			u.records, u.bytes = max(0, u.records-1), max(0, u.bytes-n)
		}
	}
}

func usageOf(of map[peer.ID]*usage, author peer.ID) *usage {
	u := of[author]
	if u == nil {
		u = &usage{}
		of[author] = u
	}
	return u
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

package p2p

import (
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

// written is a delta of a sample member that announces a blob of some bytes.
func written(c *cast, name string, seq uint64, bytes int64) *record.Signed {
	c.t.Helper()
	body := &record.Delta{Round: seq, Base: record.BlobCID([]byte("base"))}
	body.Components = []record.Component{{Name: "lora", Signature: "s", Codec: "int8", Blob: record.Blob{CID: record.BlobCID([]byte("blob")), Bytes: bytes}}}
	s, err := signBody(c.key(name), c.roster.federation, seq, nil, c.clock.at, body)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

func TestQuotaOfARound(t *testing.T) {
	c := newCast(t)
	q := newConduct(Quota{Records: 3, Bytes: 1 << 20}, time.Hour, c.clock.now)
	for seq := uint64(1); seq <= 3; seq++ {
		if err := q.charge(written(c, "edge", seq, 10)); err != nil {
			t.Fatalf("record %d: %v", seq, err)
		}
	}
	if err := q.charge(written(c, "edge", 4, 10)); !errors.Is(err, errQuota) {
		t.Errorf("a fourth record: %v", err)
	}
	if err := q.charge(written(c, "other", 1, 1<<20)); !errors.Is(err, errQuota) {
		t.Errorf("a record that announces too much: %v", err)
	}
	if err := q.charge(written(c, "other", 1, 10)); err != nil {
		t.Errorf("another author: %v", err)
	}
	q.closed(1)
	if err := q.charge(written(c, "edge", 4, 10)); err != nil {
		t.Errorf("in the next round: %v", err)
	}
	q.closed(1) // a second aggregate of one round begins no other
	for seq := uint64(5); seq <= 6; seq++ {
		if err := q.charge(written(c, "edge", seq, 10)); err != nil {
			t.Errorf("record %d: %v", seq, err)
		}
	}
	if err := q.charge(written(c, "edge", 7, 10)); !errors.Is(err, errQuota) {
		t.Errorf("a fourth record of the next round: %v", err)
	}
	c.clock.at = c.clock.at.Add(time.Hour)
	if err := q.charge(written(c, "edge", 7, 10)); err != nil {
		t.Errorf("after the deadline: %v", err)
	}
}

// Rounds that take a second give an author no more than the minute does, which it regains bit by bit; what it could not use it cannot save up.
func TestQuotaOfAMinute(t *testing.T) {
	c := newCast(t)
	q := newConduct(Quota{MinuteRecords: 60, MinuteBytes: 1 << 20}, time.Hour, c.clock.now)
	seq := uint64(0)
	taken := func(tries int) (n int) {
		for range tries {
			seq++
			if q.charge(written(c, "edge", seq, 10)) == nil {
				n++
			}
			q.closed(seq) // every record in a round of its own
		}
		return n
	}
	if got := taken(100); got != 60 {
		t.Errorf("%d records at once, the quota is 60", got)
	}
	c.clock.at = c.clock.at.Add(10 * time.Second)
	if got := taken(100); got != 10 {
		t.Errorf("%d records after ten seconds, of 60 a minute", got)
	}
	c.clock.at = c.clock.at.Add(time.Hour)
	if got := taken(100); got != 60 {
		t.Errorf("%d records after an hour, the quota is 60", got)
	}
	if err := q.charge(written(c, "other", 1, 1<<20)); !errors.Is(err, errQuota) {
		t.Errorf("a record that announces too much: %v", err)
	}
	if err := q.charge(written(c, "other", 1, 1<<19)); err != nil {
		t.Errorf("another author: %v", err)
	}
	if err := q.room("edge", 0); err != nil {
		t.Errorf("sync is held back by the minute: %v", err)
	}
}

// A member that joins late takes a long history at once, but no more of an author than all rounds allow.
func TestQuotaOfAHistory(t *testing.T) {
	q := newConduct(Quota{Records: 3}, time.Hour, time.Now)
	author := peer.ID("author")
	q.add(author, 6)
	if err := q.room(author, 0); !errors.Is(err, errQuota) {
		t.Errorf("seven records before any round: %v", err)
	}
	if err := q.room(peer.ID("other"), 6); !errors.Is(err, errQuota) {
		t.Errorf("a record beside six that wait: %v", err)
	}
	q.closed(10)
	if err := q.room(author, 0); err != nil {
		t.Errorf("seven records in ten rounds: %v", err)
	}
}

func TestFaultsAreForgotten(t *testing.T) {
	c := newCast(t)
	q := newConduct(Quota{}, time.Hour, c.clock.now)
	bad, good := peer.ID("bad"), peer.ID("good")
	for i := range 10 {
		if grayed := q.blame(bad, faultInvalid); grayed != (i == 9) {
			t.Fatalf("fault %d: on the gray list: %v", i+1, grayed)
		}
	}
	if !q.isGray(bad) || q.isGray(good) {
		t.Errorf("costs %v and %v", q.cost(bad), q.cost(good))
	}
	c.clock.at = c.clock.at.Add(faultHalfLife / 2)
	if !q.isGray(bad) || q.score(bad) > -graylisted {
		t.Errorf("after half of a half-life it is forgiven: cost %v, score %v", q.cost(bad), q.score(bad))
	}
	c.clock.at = c.clock.at.Add(faultHalfLife / 2)
	if got := q.cost(bad); got != graylisted/2 || q.isGray(bad) {
		t.Errorf("after one half-life the cost is %v", got)
	}
}

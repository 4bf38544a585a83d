package p2p

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// Limits of a syncSummary; with them it stays below the size of a message.
const (
	maxSyncAuthors = 1024
	maxSyncRanges  = 4096 // of all authors
	maxForkCIDs    = 8192 // of all authors in a syncForks
)

// syncSummary tells what a side knows. Of an author who is not in it, nothing is known.
type syncSummary struct {
	Authors []authorClaim `cbor:"authors"` // ordered by author
}

// authorClaim tells which sequence numbers of an author are known.
type authorClaim struct {
	Author peer.ID         `cbor:"author"`
	Ranges []storage.Range `cbor:"ranges"` // sorted and disjoint
	Upto   uint64          `cbor:"upto"`   // nothing is said of higher numbers
	Digest []byte          `cbor:"digest"` // exclusive or of the SHA-256 of the CIDs, of higher numbers too
}

// syncForks lists the CIDs known of some authors.
type syncForks struct {
	Lists []forkList `cbor:"lists"` // ordered by author
}

type forkList struct {
	Author peer.ID   `cbor:"author"`
	CIDs   []cid.Cid `cbor:"cids"`
	Upto   uint64    `cbor:"upto"` // the list is complete up to this sequence number
}

// syncEnd follows the last record of a turn.
type syncEnd struct {
	More bool   `cbor:"more"` // the side has records left for another exchange
	Took uint64 `cbor:"took"` // records of the other side's turn that were accepted; 0 from the dialler, whose turn is first
}

// check refuses summaries that an honest peer does not write.
func (s *syncSummary) check() error {
	if len(s.Authors) > maxSyncAuthors {
		return fmt.Errorf("summary of %d authors, at most %d are allowed", len(s.Authors), maxSyncAuthors)
	}
	for i, a := range s.Authors {
		if i > 0 && s.Authors[i-1].Author >= a.Author {
			return fmt.Errorf("summary: author %s is out of order", a.Author)
		}
		if len(a.Digest) != sha256.Size {
			return fmt.Errorf("summary of %s: digest of %d bytes", a.Author, len(a.Digest))
		}
		for j, r := range a.Ranges {
			if r.From > r.To || j > 0 && r.From <= a.Ranges[j-1].To {
				return fmt.Errorf("summary of %s: range %d to %d is out of order", a.Author, r.From, r.To)
			}
		}
	}
	return nil
}

// claim makes a summary of what is known: stored, or refused lately.
func claim(stored []storage.AuthorSummary, refused []refusedRecord) (*syncSummary, error) {
	known := make(map[peer.ID]*authorClaim)
	for _, a := range stored {
		known[a.Author] = &authorClaim{Author: a.Author, Ranges: slices.Clone(a.Ranges), Upto: math.MaxUint64, Digest: a.Digest[:]}
	}
	for _, r := range refused {
		a := known[r.author]
		if a == nil {
			a = &authorClaim{Author: r.author, Upto: math.MaxUint64, Digest: make([]byte, sha256.Size)}
			known[r.author] = a
		}
		a.Ranges = insert(a.Ranges, r.seq)
		for i, b := range sha256.Sum256(r.cid.Bytes()) {
			a.Digest[i] ^= b
		}
	}
	if len(known) > maxSyncAuthors {
		return nil, fmt.Errorf("records of %d authors are stored, sync can handle %d", len(known), maxSyncAuthors)
	}
	s := new(syncSummary)
	for _, a := range known {
		if most := max(1, maxSyncRanges/len(known)); len(a.Ranges) > most {
			a.Upto = a.Ranges[most].From - 1 // the higher gaps wait until the lower ones are filled
			a.Ranges = a.Ranges[:most]
		}
		s.Authors = append(s.Authors, *a)
	}
	slices.SortFunc(s.Authors, func(a, b authorClaim) int {
		if a.Author < b.Author {
			return -1
		}
		return 1
	})
	return s, nil
}

// insert adds a number to sorted, disjoint ranges.
func insert(ranges []storage.Range, seq uint64) []storage.Range {
	i := 0
	for i < len(ranges) && ranges[i].To < seq {
		i++
	}
	if i < len(ranges) && ranges[i].From <= seq {
		return ranges
	}
	return slices.Insert(ranges, i, storage.Range{From: seq, To: seq})
}

// missing are the parts of mine that are not in theirs, up to a number.
func missing(mine, theirs []storage.Range, upto uint64) []storage.Range {
	var out []storage.Range
	for _, m := range mine {
		from, to := m.From, min(m.To, upto)
		for _, t := range theirs {
			if t.To < from || from > to {
				continue
			}
			if t.From > to {
				break
			}
			if t.From > from {
				out = append(out, storage.Range{From: from, To: t.From - 1})
			}
			if t.To == math.MaxUint64 {
				from, to = 1, 0
				break
			}
			from = t.To + 1
		}
		if from <= to {
			out = append(out, storage.Range{From: from, To: to})
		}
	}
	return out
}

// forked are the authors in both summaries who agree on the numbers but not on the digest.
func forked(a, b *syncSummary) []peer.ID {
	theirs := make(map[peer.ID]authorClaim, len(b.Authors))
	for _, c := range b.Authors {
		theirs[c.Author] = c
	}
	var out []peer.ID
	for _, mine := range a.Authors {
		t, ok := theirs[mine.Author]
		if ok && mine.Upto == t.Upto && !slices.Equal(mine.Digest, t.Digest) &&
			len(missing(mine.Ranges, t.Ranges, math.MaxUint64))+len(missing(t.Ranges, mine.Ranges, math.MaxUint64)) == 0 {
			out = append(out, mine.Author)
		}
	}
	return out
}

// lacks tells what the other side wants.
type lacks struct {
	claims map[peer.ID]authorClaim
	forks  map[peer.ID]forkSet
}

type forkSet struct {
	cids map[cid.Cid]bool
	upto uint64
}

func newLacks(theirs *syncSummary, forks *syncForks) *lacks {
	l := &lacks{claims: make(map[peer.ID]authorClaim), forks: make(map[peer.ID]forkSet)}
	for _, c := range theirs.Authors {
		l.claims[c.Author] = c
	}
	for _, f := range forks.Lists {
		set := forkSet{make(map[cid.Cid]bool, len(f.CIDs)), f.Upto}
		for _, c := range f.CIDs {
			set.cids[c] = true
		}
		l.forks[f.Author] = set
	}
	return l
}

// ranges are the parts of an author's records to look through for records it wants.
func (l *lacks) ranges(mine storage.AuthorSummary) []storage.Range {
	if f, ok := l.forks[mine.Author]; ok {
		return missing(mine.Ranges, nil, f.upto)
	}
	c, ok := l.claims[mine.Author]
	if !ok {
		return mine.Ranges
	}
	return missing(mine.Ranges, c.Ranges, c.Upto)
}

// wants tells whether it wants a record.
func (l *lacks) wants(r *record.Signed) bool {
	if f, ok := l.forks[r.Author]; ok {
		return r.Seq <= f.upto && !f.cids[r.CID]
	}
	c, ok := l.claims[r.Author]
	if !ok {
		return true
	}
	return r.Seq <= c.Upto && !slices.ContainsFunc(c.Ranges, func(k storage.Range) bool { return k.From <= r.Seq && r.Seq <= k.To })
}

// refusedRecords remembers records that this node refused, for a while.
type refusedRecords struct {
	now func() time.Time

	mu    sync.Mutex
	queue []refusedRecord // oldest first
	known map[cid.Cid]bool
}

type refusedRecord struct {
	cid    cid.Cid
	author peer.ID
	seq    uint64
	until  time.Time
}

func newRefusedRecords(now func() time.Time) *refusedRecords {
	return &refusedRecords{now: now, known: make(map[cid.Cid]bool)}
}

func (r *refusedRecords) add(s *record.Signed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	if r.known[s.CID] {
		return
	}
	if len(r.queue) == refusedRemembered {
		r.drop()
	}
	r.known[s.CID] = true
	r.queue = append(r.queue, refusedRecord{s.CID, s.Author, s.Seq, r.now().Add(refusedFor)})
}

// all are those not stored since; stored tells that.
func (r *refusedRecords) all(stored func(cid.Cid) bool) []refusedRecord {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	return slices.DeleteFunc(slices.Clone(r.queue), func(x refusedRecord) bool { return stored(x.cid) })
}

// clear forgets all: someone has become a member, or ceased to be one, and the refused may be welcome.
func (r *refusedRecords) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = nil
	clear(r.known)
}

func (r *refusedRecords) forget() {
	for len(r.queue) > 0 && !r.now().Before(r.queue[0].until) {
		r.drop()
	}
}

func (r *refusedRecords) drop() {
	delete(r.known, r.queue[0].cid)
	r.queue = r.queue[1:]
}

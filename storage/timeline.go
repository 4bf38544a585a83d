package storage

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"sort"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/mlecs/mlecs/storage/record"
)

// Key is the place of a record in the timeline, the order in which members reconcile what they have: records that tell who is a member
// before all others, then by their authors' clocks, so that what is missing lies together, then by CID. Keys sort as bytes.
type Key [keySize]byte

// keySize is a byte for the class, 8 for the time of creation, and the digest that the CID holds.
const keySize = 1 + 8 + sha256.Size

// KeyOf is the place of a record.
func KeyOf(r *record.Signed) (k Key) {
	if !r.Kind.Membership() {
		k[0] = 1
	}
	binary.BigEndian.PutUint64(k[1:], uint64(r.Created))
	id := r.CID.Hash()
	copy(k[9:], id[len(id)-sha256.Size:])
	return k
}

// CID is that of the record.
func (k Key) CID() cid.Cid {
	digest, err := multihash.Encode(k[9:], multihash.SHA2_256)
	if err != nil {
		panic(err) // a digest of this length always has a multihash
	}
	return cid.NewCidV1(cid.DagCBOR, digest)
}

// Sum is a digest of a set of records: their number, and the sum of their CIDs' digests as numbers of 256 bits. An exclusive or would be as
// quick, but whoever writes many records could make two sets of them alike.
type Sum struct {
	Count  uint64
	Digest [4]uint64 // lowest first
}

// Add counts the record of a key.
func (s *Sum) Add(k Key) { s.Merge(Sum{1, k.number()}) }

// Merge adds the sum of another set.
func (s *Sum) Merge(o Sum) {
	s.Count += o.Count
	var carry uint64
	for i, x := range o.Digest {
		s.Digest[i], carry = bits.Add64(s.Digest[i], x, carry)
	}
}

func (k Key) number() (n [4]uint64) {
	for i := range n {
		n[i] = binary.LittleEndian.Uint64(k[9+8*i:])
	}
	return n
}

// timelineChunk is how many keys a chunk holds at most.
const timelineChunk = 512

// timeline holds the keys of all records in memory, 41 bytes each: sorted, in chunks that know their sum, so that the sum of any range takes
// a look at each chunk and at the keys of two of them.
type timeline struct {
	mu     sync.RWMutex
	chunks []*chunk // nil until it is first asked for
	loaded bool
}

type chunk struct {
	keys []Key
	sum  Sum
}

// add takes a key, once.
func (t *timeline) add(k Key) {
	at := sort.Search(len(t.chunks), func(i int) bool { return bytes.Compare(t.chunks[i].last(), k[:]) >= 0 })
	if at == len(t.chunks) {
		if at == 0 {
			t.chunks = append(t.chunks, &chunk{})
		} else {
			at--
		}
	}
	c := t.chunks[at]
	i, found := slices.BinarySearchFunc(c.keys, k, compareKeys)
	if found {
		return
	}
	if len(c.keys) < timelineChunk {
		c.keys = slices.Insert(c.keys, i, k)
		c.sum.Add(k)
		return
	}
	half := len(c.keys) / 2
	if i == len(c.keys) {
		half = i // keys mostly come in order: full chunks stay full
	}
	t.chunks = slices.Replace(t.chunks, at, at+1, chunkOf(c.keys[:half]), chunkOf(c.keys[half:]))
	if i < half {
		t.chunks[at].insert(i, k)
	} else {
		t.chunks[at+1].insert(i-half, k)
	}
}

func chunkOf(keys []Key) *chunk {
	c := &chunk{keys: slices.Clone(keys)}
	for _, k := range keys {
		c.sum.Add(k)
	}
	return c
}

func (c *chunk) insert(i int, k Key) {
	c.keys = slices.Insert(c.keys, i, k)
	c.sum.Add(k)
}

func (c *chunk) last() []byte {
	if len(c.keys) == 0 {
		return nil
	}
	return c.keys[len(c.keys)-1][:]
}

func compareKeys(a, b Key) int { return bytes.Compare(a[:], b[:]) }

// span is a part of a chunk within a range.
type span struct {
	*chunk
	from, to int
}

// spans are the parts of the chunks that lie in [from, to); an empty to has no end.
func (t *timeline) spans(from, to []byte) (list []span) {
	below := func(bound []byte) func(Key, []byte) int {
		return func(k Key, _ []byte) int { return bytes.Compare(k[:], bound) }
	}
	first := sort.Search(len(t.chunks), func(i int) bool { return bytes.Compare(t.chunks[i].last(), from) >= 0 })
	for _, c := range t.chunks[first:] {
		i, _ := slices.BinarySearchFunc(c.keys, from, below(from))
		end := len(c.keys)
		if len(to) > 0 {
			end, _ = slices.BinarySearchFunc(c.keys, to, below(to))
		}
		if i >= end {
			break
		}
		list = append(list, span{c, i, end})
	}
	return list
}

func (s span) total() (sum Sum) {
	if s.from == 0 && s.to == len(s.keys) {
		return s.sum
	}
	for _, k := range s.keys[s.from:s.to] {
		sum.Add(k)
	}
	return sum
}

// Sum is that of the records from a place up to, and without, another. An empty from is the beginning, an empty to has no end.
func (s *Store) Sum(from, to []byte) (sum Sum, err error) {
	err = s.withTimeline(func(t *timeline) {
		for _, part := range t.spans(from, to) {
			sum.Merge(part.total())
		}
	})
	return sum, err
}

// Timeline gives the places of at most limit records in such a range, in order.
func (s *Store) Timeline(from, to []byte, limit int) (keys []Key, err error) {
	err = s.withTimeline(func(t *timeline) {
		for _, part := range t.spans(from, to) {
			end := min(part.to, part.from+limit-len(keys))
			keys = append(keys, part.keys[part.from:end]...)
		}
	})
	return keys, err
}

// Split gives n-1 places or fewer, in order, that cut the records of such a range into n parts of about one size. Each is as short as it can be:
// the beginning of the key of the record after the cut.
func (s *Store) Split(from, to []byte, n int) (cuts [][]byte, err error) {
	err = s.withTimeline(func(t *timeline) {
		parts := t.spans(from, to)
		total := 0
		for _, part := range parts {
			total += part.to - part.from
		}
		var before *Key // of the part before
		passed, next := 0, 1
		for _, part := range parts {
			for ; next < n; next++ {
				at := next*total/n - passed
				if at >= part.to-part.from {
					break
				}
				if at > 0 {
					before = &part.keys[part.from+at-1]
				}
				if before != nil && (next == 1 || next*total/n > (next-1)*total/n) {
					cuts = append(cuts, Between(*before, part.keys[part.from+at]))
				}
			}
			passed += part.to - part.from
			before = &part.keys[part.to-1]
		}
	})
	return cuts, err
}

// Between is the shortest place after a that is not after b, a later key.
func Between(a, b Key) []byte {
	n := 0
	for a[n] == b[n] {
		n++
	}
	return slices.Clone(b[:n+1])
}

// withTimeline calls f with the timeline, which is read from the index when it is first needed.
func (s *Store) withTimeline(f func(*timeline)) error {
	if err := s.enter(); err != nil {
		return fmt.Errorf("read timeline: %w", err)
	}
	defer s.leave()
	s.timeline.mu.RLock()
	if s.timeline.loaded {
		defer s.timeline.mu.RUnlock()
		f(&s.timeline)
		return nil
	}
	s.timeline.mu.RUnlock()
	s.timeline.mu.Lock()
	defer s.timeline.mu.Unlock()
	if err := s.loadTimeline(); err != nil {
		return fmt.Errorf("read timeline: %w", err)
	}
	f(&s.timeline)
	return nil
}

func (s *Store) loadTimeline() error {
	if s.timeline.loaded {
		return nil
	}
	err := s.db.View(func(txn *badger.Txn) error {
		return eachKey(txn, []byte{tableTimeline}, func(item *badger.Item) error {
			key := item.Key()
			if len(key) != 1+keySize {
				return fmt.Errorf("index: bad entry %x", key)
			}
			s.timeline.add(Key(key[1:]))
			return nil
		})
	})
	s.timeline.loaded = err == nil
	if err != nil {
		s.timeline.chunks = nil
	}
	return err
}

// timed adds a record that was stored to the timeline, if that is in use.
func (s *Store) timed(r *record.Signed) {
	s.timeline.mu.Lock()
	defer s.timeline.mu.Unlock()
	if s.timeline.loaded {
		s.timeline.add(KeyOf(r))
	}
}

// forgetTimeline has it read anew: the index was mended.
func (s *Store) forgetTimeline() {
	s.timeline.mu.Lock()
	defer s.timeline.mu.Unlock()
	s.timeline.chunks, s.timeline.loaded = nil, false
}

package p2p

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/mlecs/mlecs/storage"
)

// Two members find out which records only one of them has by range-based set reconciliation (Meyer, arXiv 2212.13567). Both keep their records in
// one order, the timeline. A message cuts it into ranges, one after the other, and says of each something that the other side answers in its next
// message:
//
//	rangePrint  a fingerprint of the sender's records. Equal: no answer. Different: the range in some parts, or as a list if it is short.
//	rangeList   the sender's records. The answer lists those of them that the answerer lacks; the answerer notes which the sender lacks.
//	rangeWant   records of a list that the sender of the want lacks, which the other side notes.
//	rangeRest   nothing.
//
// A side that has nothing to answer sends a message without ranges, which ends it: both know what to send. With n records of which d differ,
// about d log n fingerprints of 8 bytes travel, in log n messages. Where much differs, a message is full before all of it is told; what is left
// waits for the next exchange, so that no more is told than records are sent.
const (
	rangeRest uint64 = iota
	rangePrint
	rangeList
	rangeWant
)

const (
	rangeParts   = 8    // that a range is cut into
	rangeShort   = 32   // records that are listed and not cut
	maxRanges    = 1024 // of a message
	maxRangeIDs  = 4096 // of a message
	maxRangeLook = 8192 // records looked at for one list of the other side
	maxSyncRound = 24   // messages of one side; a million records take seven
	rangeDigest  = 8    // bytes of a fingerprint, and of a record in a list
	rangeSalt    = 16   // bytes
)

// syncRanges is a message of the reconciliation. Without ranges it is the last one.
type syncRanges struct {
	Salt   []byte      `cbor:"salt"` // chosen by the dialler for every exchange, so that no record can be made to look like another; else empty
	Ranges []syncRange `cbor:"ranges"`
}

// syncRange says something of the records from the end of the range before it, or the beginning, to its own end. What follows the last range of
// a message rests.
type syncRange struct {
	_    struct{} `cbor:",toarray"`
	To   []byte   // where it ends: the records before this place belong to it; as short as it can be; empty: it has no end
	Says uint64
	Data []byte // a fingerprint, or records, 8 bytes each
}

// check refuses messages that an honest peer does not write.
func (m *syncRanges) check() error {
	if len(m.Ranges) > maxRanges {
		return fmt.Errorf("%d ranges of records, at most %d are allowed", len(m.Ranges), maxRanges)
	}
	ids := 0
	var from []byte
	for i, r := range m.Ranges {
		switch {
		case len(r.To) > len(storage.Key{}):
			return fmt.Errorf("a range of records ends at a place of %d bytes", len(r.To))
		case len(r.To) > 0 && bytes.Compare(r.To, from) <= 0, len(r.To) == 0 && i < len(m.Ranges)-1:
			return fmt.Errorf("range %d of records is out of order", i)
		case r.Says > rangeWant,
			r.Says == rangeRest && len(r.Data) > 0,
			r.Says == rangePrint && len(r.Data) != rangeDigest,
			len(r.Data)%rangeDigest != 0:
			return fmt.Errorf("range %d of records says %d with %d bytes", i, r.Says, len(r.Data))
		}
		if ids += len(r.Data) / rangeDigest; ids > maxRangeIDs+maxRanges {
			return fmt.Errorf("more than %d records in one message", maxRangeIDs)
		}
		from = r.To
	}
	return nil
}

// recordSet is what a side knows, in order. The ranges are [from, to); an empty from is the beginning, an empty to has no end.
type recordSet interface {
	Sum(from, to []byte) (storage.Sum, error)
	Timeline(from, to []byte, limit int) ([]storage.Key, error)
	Split(from, to []byte, n int) ([][]byte, error)
}

// reconciler is one side of a reconciliation.
type reconciler struct {
	set  recordSet
	salt []byte
	most int // records to find at most; what is over comes in another exchange

	lacks map[storage.Key]bool // records that the other side lacks
	more  bool                 // not all has been told
	ids   int                  // in the message that is being written
	out   []syncRange
}

func newReconciler(set recordSet, salt []byte, most int) *reconciler {
	return &reconciler{set: set, salt: salt, most: most, lacks: make(map[storage.Key]bool)}
}

// open is the first message.
func (r *reconciler) open() (*syncRanges, error) {
	sum, err := r.set.Sum(nil, nil)
	if err != nil {
		return nil, err
	}
	if sum.Count > rangeShort {
		r.say(nil, rangePrint, r.print(sum))
	} else if err := r.list(nil, nil); err != nil {
		return nil, err
	}
	return &syncRanges{Salt: r.salt, Ranges: r.out}, nil
}

// answer is the answer to a message that was checked.
func (r *reconciler) answer(m *syncRanges) (*syncRanges, error) {
	r.out, r.ids = nil, 0
	var from []byte
	for _, in := range m.Ranges {
		if err := r.answerRange(from, in); err != nil {
			return nil, err
		}
		from = in.To
	}
	for len(r.out) > 0 && r.out[len(r.out)-1].Says == rangeRest {
		r.out = r.out[:len(r.out)-1]
	}
	return &syncRanges{Ranges: r.out}, nil
}

func (r *reconciler) answerRange(from []byte, in syncRange) error {
	switch in.Says {
	case rangePrint:
		sum, err := r.set.Sum(from, in.To)
		if err != nil {
			return err
		}
		if bytes.Equal(r.print(sum), in.Data) {
			break
		}
		return r.refine(from, in.To, sum.Count)
	case rangeList:
		return r.compare(from, in)
	case rangeWant:
		keys, err := r.set.Timeline(from, in.To, maxRangeLook)
		if err != nil {
			return err
		}
		wanted := idsOf(in.Data)
		for _, k := range keys {
			if wanted[r.id(k)] {
				r.lack(k)
			}
		}
	}
	r.say(in.To, rangeRest, nil)
	return nil
}

// refine says more of a range that differs.
func (r *reconciler) refine(from, to []byte, count uint64) error {
	if count <= rangeShort {
		return r.list(from, to)
	}
	cuts, err := r.set.Split(from, to, rangeParts)
	if err != nil {
		return err
	}
	for _, cut := range append(cuts, to) {
		sum, err := r.set.Sum(from, cut)
		if err != nil {
			return err
		}
		r.say(cut, rangePrint, r.print(sum))
		from = cut
	}
	return nil
}

func (r *reconciler) list(from, to []byte) error {
	keys, err := r.set.Timeline(from, to, 2*rangeShort)
	if err != nil {
		return err
	}
	data := make([]byte, 0, len(keys)*rangeDigest)
	for _, k := range keys {
		id := r.id(k)
		data = append(data, id[:]...)
	}
	r.say(to, rangeList, data)
	return nil
}

// compare answers a list.
func (r *reconciler) compare(from []byte, in syncRange) error {
	theirs := idsOf(in.Data)
	look := maxRangeLook
	if len(theirs) == 0 {
		look = r.most + 1 // all that is here is new to them
	}
	keys, err := r.set.Timeline(from, in.To, look)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if id := r.id(k); theirs[id] {
			delete(theirs, id)
		} else {
			r.lack(k)
		}
	}
	var want []byte
	if len(keys) < look {
		for _, id := range slices.SortedFunc(maps.Keys(theirs), func(a, b [rangeDigest]byte) int { return bytes.Compare(a[:], b[:]) }) {
			want = append(want, id[:]...)
		}
	} else {
		r.more = true
	}
	if len(want) == 0 {
		r.say(in.To, rangeRest, nil)
	} else {
		r.say(in.To, rangeWant, want)
	}
	return nil
}

// lack notes a record that the other side lacks.
func (r *reconciler) lack(k storage.Key) {
	if r.lacks[k] = true; len(r.lacks) > 4*r.most {
		r.first(2 * r.most) // in the order of the timeline: the others rest on the first
		r.more = true
	}
}

// first gives the first n records that the other side lacks, and forgets the others.
func (r *reconciler) first(n int) []storage.Key {
	keys := slices.SortedFunc(maps.Keys(r.lacks), func(a, b storage.Key) int { return bytes.Compare(a[:], b[:]) })
	for _, k := range keys[min(n, len(keys)):] {
		delete(r.lacks, k)
	}
	return keys[:min(n, len(keys))]
}

// say adds a range to the message, if it has room.
func (r *reconciler) say(to []byte, says uint64, data []byte) {
	if last := len(r.out) - 1; says == rangeRest && last >= 0 && r.out[last].Says == rangeRest {
		r.out[last].To = to
		return
	}
	ids := 0
	if says != rangePrint {
		ids = len(data) / rangeDigest
	}
	if len(r.out) == maxRanges || r.ids+ids > maxRangeIDs {
		r.more = r.more || says != rangeRest
		r.ids = maxRangeIDs + 1 // nothing after it either: a range begins where the one before ends
		return
	}
	r.ids += ids
	r.out = append(r.out, syncRange{To: to, Says: says, Data: data})
}

func (r *reconciler) print(s storage.Sum) []byte {
	h := sha256.New()
	h.Write(r.salt)
	for _, x := range append([]uint64{s.Count}, s.Digest[:]...) {
		h.Write(binary.LittleEndian.AppendUint64(nil, x))
	}
	return h.Sum(nil)[:rangeDigest]
}

// id is a record in a list.
func (r *reconciler) id(k storage.Key) [rangeDigest]byte {
	sum := sha256.Sum256(append(r.salt[:len(r.salt):len(r.salt)], k[:]...))
	return [rangeDigest]byte(sum[:rangeDigest])
}

func idsOf(data []byte) map[[rangeDigest]byte]bool {
	ids := make(map[[rangeDigest]byte]bool, len(data)/rangeDigest)
	for id := range slices.Chunk(data, rangeDigest) {
		ids[[rangeDigest]byte(id)] = true
	}
	return ids
}

package p2p

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// syncEnd follows the last record of a turn.
type syncEnd struct {
	More bool   `cbor:"more"` // the side has records left for another exchange
	Took uint64 `cbor:"took"` // records of the other side's turn that were accepted; 0 from the dialler, whose turn is first
}

// knownRecords are what a side has, or has refused lately: all that it does not want to be sent.
type knownRecords struct {
	*storage.Store
	refused []storage.Key // sorted; none of them is stored
}

// known is what this side knows at this moment.
func (s *syncService) known() knownRecords {
	return knownRecords{s.cfg.store, s.refused.all(s.cfg.store)}
}

// within are the refused records of a range.
func (k knownRecords) within(from, to []byte) []storage.Key {
	at := func(bound []byte) int {
		i, _ := slices.BinarySearchFunc(k.refused, bound, func(a storage.Key, bound []byte) int { return bytes.Compare(a[:], bound) })
		return i
	}
	end := len(k.refused)
	if len(to) > 0 {
		end = at(to)
	}
	return k.refused[min(at(from), end):end]
}

func (k knownRecords) Sum(from, to []byte) (storage.Sum, error) {
	sum, err := k.Store.Sum(from, to)
	for _, r := range k.within(from, to) {
		sum.Add(r)
	}
	return sum, err
}

func (k knownRecords) Timeline(from, to []byte, limit int) ([]storage.Key, error) {
	keys, err := k.Store.Timeline(from, to, limit)
	if refused := k.within(from, to); len(refused) > 0 {
		keys = append(keys, refused[:min(limit, len(refused))]...)
		slices.SortFunc(keys, func(a, b storage.Key) int { return bytes.Compare(a[:], b[:]) })
		keys = keys[:min(limit, len(keys))]
	}
	return keys, err
}

// Split cuts by what there is more of.
func (k knownRecords) Split(from, to []byte, n int) ([][]byte, error) {
	refused := k.within(from, to)
	if sum, err := k.Store.Sum(from, to); err != nil || sum.Count >= uint64(len(refused)) {
		return k.Store.Split(from, to, n)
	}
	return cutsOf(refused, n), nil
}

// cutsOf are at most n-1 places that cut sorted keys into parts of about one size.
func cutsOf(keys []storage.Key, n int) (cuts [][]byte) {
	for i := 1; i < n; i++ {
		if at := i * len(keys) / n; at > (i-1)*len(keys)/n {
			cuts = append(cuts, storage.Between(keys[at-1], keys[at]))
		}
	}
	return cuts
}

// refusedRecords remembers records that this node refused, for a while.
type refusedRecords struct {
	now func() time.Time

	mu    sync.Mutex
	queue []refusedRecord // oldest first
	known map[storage.Key]bool
}

type refusedRecord struct {
	key   storage.Key
	until time.Time
}

func newRefusedRecords(now func() time.Time) *refusedRecords {
	return &refusedRecords{now: now, known: make(map[storage.Key]bool)}
}

func (r *refusedRecords) add(s *record.Signed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	key := storage.KeyOf(s)
	if r.known[key] {
		return
	}
	if len(r.queue) == refusedRemembered {
		r.drop()
	}
	r.known[key] = true
	r.queue = append(r.queue, refusedRecord{key, r.now().Add(refusedFor)})
}

// all are those not stored since, in order.
func (r *refusedRecords) all(store *storage.Store) []storage.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	var keys []storage.Key
	for _, x := range r.queue {
		if !store.HasRecord(x.key.CID()) {
			keys = append(keys, x.key)
		}
	}
	slices.SortFunc(keys, func(a, b storage.Key) int { return bytes.Compare(a[:], b[:]) })
	return keys
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
	delete(r.known, r.queue[0].key)
	r.queue = r.queue[1:]
}

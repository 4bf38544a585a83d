package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/dgraph-io/badger/v4"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

// pageSize is how many records an iteration reads in one go. Between pages no transaction is open, so that a slow consumer, or one
// that writes, holds up nothing.
const pageSize = 64

// PutRecord stores a verified record durably (synced before it returns); added is false if it was there.
func (s *Store) PutRecord(r *record.Signed) (added bool, err error) {
	n, err := s.PutRecords([]*record.Signed{r})
	return n == 1, err
}

// PutRecords stores all of them or none, durably, and tells how many were not there. It takes one sync of the disk, so many at once are stored
// far sooner than one after the other; more than MaxPut are refused.
func (s *Store) PutRecords(list []*record.Signed) (added int, err error) {
	if len(list) > MaxPut {
		return 0, fmt.Errorf("store %d records: %w: at most %d at once", len(list), ErrTooLarge, MaxPut)
	}
	if len(list) == 0 {
		return 0, nil
	}
	var size int64
	for _, r := range list {
		size += int64(len(r.Envelope))
	}
	what := "record " + list[0].CID.String()
	if len(list) > 1 {
		what = fmt.Sprintf("%d records", len(list))
	}
	s.putting.Lock()
	defer s.putting.Unlock()
	if err := s.enterToWrite(size); err != nil {
		return 0, fmt.Errorf("store %s: %w", what, err)
	}
	defer s.leave()
	if added, err = s.putRecords(list); err != nil {
		return 0, fmt.Errorf("store %s: %w", what, err)
	}
	return added, nil
}

// MaxPut is how many records are stored at once at most: what fits into one transaction of the index.
const MaxPut = 64

// putRecords is called by one goroutine at a time.
func (s *Store) putRecords(list []*record.Signed) (added int, err error) {
	last, count := s.arrival.Load(), s.count.Load()
	err = s.db.Update(func(txn *badger.Txn) error {
		for _, r := range list {
			key := recordKey(r.CID)
			if _, err := txn.Get(key); !errors.Is(err, badger.ErrKeyNotFound) {
				if err != nil {
					return err
				}
				continue
			}
			added++
			n := last + uint64(added)
			if err := txn.Set(key, append(binary.BigEndian.AppendUint64(nil, n), r.Envelope...)); err != nil {
				return err
			}
			for _, e := range indexEntries(r, n) {
				if err := txn.Set(e.key, e.value); err != nil {
					return err
				}
			}
		}
		if added == 0 {
			return nil
		}
		return setCount(txn, count+int64(added))
	})
	if err != nil {
		return 0, err
	}
	s.arrival.Store(last + uint64(added))
	s.count.Store(count + int64(added))
	for _, r := range list {
		s.timed(r)
	}
	return added, nil
}

// Count is the number of records stored.
func (s *Store) Count() int { return int(s.count.Load()) }

// indexEntry is one key and its value.
type indexEntry struct{ key, value []byte }

// indexEntries lead to a record that arrived as number n.
func indexEntries(r *record.Signed, n uint64) []indexEntry {
	id, arrival := r.CID.Bytes(), binary.BigEndian.AppendUint64(nil, n)
	list := []indexEntry{
		{append([]byte{tableArrival}, arrival...), id},
		{append(kindPrefix(r.Kind), arrival...), id},
		{authorKey(r.Author, r.Seq, r.CID), []byte{}},
	}
	return append(list, laterEntries(r)...)
}

// laterEntries are those that came with schema 2.
func laterEntries(r *record.Signed) []indexEntry {
	key := KeyOf(r)
	list := []indexEntry{{append([]byte{tableTimeline}, key[:]...), []byte{}}}
	if round, ok := r.Round(); ok {
		list = append(list, indexEntry{append(binary.BigEndian.AppendUint64(roundPrefix(r.Kind), round), r.CID.Bytes()...), []byte{}})
	}
	return list
}

// Record is a stored record, or ErrNotFound.
func (s *Store) Record(c cid.Cid) (*record.Signed, error) {
	if err := s.enter(); err != nil {
		return nil, fmt.Errorf("record %s: %w", c, err)
	}
	defer s.leave()
	var r *record.Signed
	err := s.db.View(func(txn *badger.Txn) (err error) {
		r, err = getRecord(txn, c)
		return err
	})
	return r, err
}

func getRecord(txn *badger.Txn, c cid.Cid) (*record.Signed, error) {
	item, err := txn.Get(recordKey(c))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, fmt.Errorf("record %s: %w", c, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", c, err)
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", c, err)
	}
	if len(value) < 8 {
		return nil, fmt.Errorf("record %s: %w", c, ErrCorrupt)
	}
	r, err := record.OpenStored(c, value[8:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return r, nil
}

// HasRecord tells whether a record is stored.
func (s *Store) HasRecord(c cid.Cid) bool {
	if s.enter() != nil {
		return false
	}
	defer s.leave()
	return s.db.View(func(txn *badger.Txn) error {
		_, err := txn.Get(recordKey(c))
		return err
	}) == nil
}

// Records yields records of a kind ("" = all) in order of arrival, as far as they are stored when the iteration begins. After an
// error it goes on with the next record if it can.
func (s *Store) Records(kind record.Kind) iter.Seq2[*record.Signed, error] {
	prefix := []byte{tableArrival}
	if kind != "" {
		prefix = kindPrefix(kind)
	}
	return func(yield func(*record.Signed, error) bool) {
		end := binary.BigEndian.AppendUint64(bytes.Clone(prefix), s.arrival.Load())
		s.walk(prefix, prefix, end, yield)
	}
}

// ByAuthor yields author's records with From <= Seq <= To in order of Seq, and of CID where an author signed several with one Seq.
func (s *Store) ByAuthor(author peer.ID, r Range) iter.Seq2[*record.Signed, error] {
	prefix := authorPrefix(author)
	first := binary.BigEndian.AppendUint64(bytes.Clone(prefix), r.From)
	end := binary.BigEndian.AppendUint64(bytes.Clone(prefix), r.To)
	return func(yield func(*record.Signed, error) bool) { s.walk(prefix, first, end, yield) }
}

// walk yields the records that the keys from first up to and including those that begin with end lead to, page by page.
func (s *Store) walk(prefix, first, end []byte, yield func(*record.Signed, error) bool) {
	for first != nil {
		page, next, err := s.page(prefix, first, end)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, found := range page {
			if !yield(found.record, found.err) {
				return
			}
		}
		first = next
	}
}

type found struct {
	record *record.Signed
	err    error
}

// page reads up to pageSize records; next is where to go on, nil at the end.
func (s *Store) page(prefix, first, end []byte) (page []found, next []byte, err error) {
	if err := s.enter(); err != nil {
		return nil, nil, err
	}
	defer s.leave()
	err = s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Seek(first); it.Valid(); it.Next() {
			key := it.Item().Key()
			if bytes.Compare(key[:min(len(key), len(end))], end) > 0 {
				return nil
			}
			if len(page) == pageSize {
				next = bytes.Clone(key)
				return nil
			}
			c, err := entryCID(key, it.Item().Value)
			if err != nil {
				return err
			}
			r, err := getRecord(txn, c)
			page = append(page, found{r, err})
		}
		return nil
	})
	return page, next, err
}

// entryCID is the CID that an entry of any table but that of records leads to; value calls its argument with the entry's value.
func entryCID(key []byte, value func(func([]byte) error) error) (c cid.Cid, err error) {
	switch key[0] {
	case tableAuthor:
		_, _, c, err = parseAuthorKey(key)
	case tableRound:
		_, c, err = parseRoundKey(key)
	case tableTimeline:
		if len(key) != 1+keySize {
			return cid.Undef, fmt.Errorf("index: bad entry %x", key)
		}
		c = Key(key[1:]).CID()
	default:
		err = value(func(b []byte) error {
			c, err = cid.Cast(b)
			return err
		})
		if err != nil {
			err = fmt.Errorf("index: entry %x: %w", key, err)
		}
	}
	return c, err
}

// NextSeq is one more than the highest sequence number stored of author.
func (s *Store) NextSeq(author peer.ID) (uint64, error) {
	if err := s.enter(); err != nil {
		return 0, fmt.Errorf("next sequence number of %s: %w", author, err)
	}
	defer s.leave()
	next := uint64(1)
	err := s.db.View(func(txn *badger.Txn) error {
		key := lastKey(txn, authorPrefix(author))
		if key == nil {
			return nil
		}
		_, seq, _, err := parseAuthorKey(key)
		if err == nil && seq == math.MaxUint64 {
			err = fmt.Errorf("%s has used its last sequence number", author)
		}
		next = seq + 1
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("next sequence number of %s: %w", author, err)
	}
	return next, nil
}

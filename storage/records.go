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
	if err := s.enterToWrite(int64(len(r.Envelope))); err != nil {
		return false, fmt.Errorf("store record %s: %w", r.CID, err)
	}
	defer s.leave()
	for {
		added, err = s.putRecord(r)
		if errors.Is(err, badger.ErrConflict) { // the same record came in twice at once
			continue
		}
		if err != nil {
			return false, fmt.Errorf("store record %s: %w", r.CID, err)
		}
		return added, nil
	}
}

func (s *Store) putRecord(r *record.Signed) (added bool, err error) {
	err = s.db.Update(func(txn *badger.Txn) error {
		key := recordKey(r.CID)
		if _, err := txn.Get(key); !errors.Is(err, badger.ErrKeyNotFound) {
			return err
		}
		added = true
		n := s.arrival.Add(1)
		if err := txn.Set(key, append(binary.BigEndian.AppendUint64(nil, n), r.Envelope...)); err != nil {
			return err
		}
		for _, e := range indexEntries(r, n) {
			if err := txn.Set(e.key, e.value); err != nil {
				return err
			}
		}
		return nil
	})
	return added, err
}

// indexEntry is one key and its value.
type indexEntry struct{ key, value []byte }

// indexEntries lead to a record that arrived as number n.
func indexEntries(r *record.Signed, n uint64) []indexEntry {
	id, arrival := r.CID.Bytes(), binary.BigEndian.AppendUint64(nil, n)
	return []indexEntry{
		{append([]byte{tableArrival}, arrival...), id},
		{append(kindPrefix(r.Kind), arrival...), id},
		{authorKey(r.Author, r.Seq, r.CID), []byte{}},
	}
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
			c, err := recordOf(it.Item())
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

// recordOf is the CID that an entry of the arrival, kind or author table leads to.
func recordOf(item *badger.Item) (c cid.Cid, err error) {
	if item.Key()[0] == tableAuthor {
		_, _, c, err = parseAuthorKey(item.Key())
		return c, err
	}
	err = item.Value(func(value []byte) error {
		c, err = cid.Cast(value)
		return err
	})
	if err != nil {
		return cid.Undef, fmt.Errorf("index: entry %x: %w", item.Key(), err)
	}
	return c, nil
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

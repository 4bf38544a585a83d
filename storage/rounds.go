package storage

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/storage/record"
)

// ByRound yields the records of a kind whose round lies in r, in order of round and CID. Kinds without rounds have none.
func (s *Store) ByRound(kind record.Kind, r Range) iter.Seq2[*record.Signed, error] {
	prefix := roundPrefix(kind)
	first := binary.BigEndian.AppendUint64(roundPrefix(kind), r.From)
	end := binary.BigEndian.AppendUint64(roundPrefix(kind), r.To)
	return func(yield func(*record.Signed, error) bool) { s.walk(prefix, first, end, yield) }
}

// NewestRound is the round of the n-th newest record of a kind, counted by rounds from 1; 0 if there are fewer.
func (s *Store) NewestRound(kind record.Kind, n int) (round uint64, err error) {
	if err := s.enter(); err != nil {
		return 0, fmt.Errorf("newest %s: %w", kind, err)
	}
	defer s.leave()
	prefix := roundPrefix(kind)
	err = s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Reverse: true, Prefix: prefix})
		defer it.Close()
		it.Seek(binary.BigEndian.AppendUint64(roundPrefix(kind), math.MaxUint64))
		for ; it.Valid() && n > 1; n-- {
			it.Next()
		}
		if !it.Valid() || n < 1 {
			return nil
		}
		round, _, err = parseRoundKey(it.Item().KeyCopy(nil))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("newest %s: %w", kind, err)
	}
	return round, nil
}

// base32Digits are those of CIDs of version 1, which begin with "b".
const base32Digits = "abcdefghijklmnopqrstuvwxyz234567"

// Named gives at most limit CIDs of records that begin with a prefix, in order. A prefix that no CID has finds none.
func (s *Store) Named(prefix string, limit int) (found []cid.Cid, err error) {
	digits, ok := strings.CutPrefix(prefix, "b")
	if !ok {
		return nil, nil
	}
	if err := s.enter(); err != nil {
		return nil, fmt.Errorf("records that begin with %.60q: %w", prefix, err)
	}
	defer s.leave()
	var first []byte // whole bytes that the digits tell
	var rest, bits uint
	for _, d := range []byte(digits) {
		value := strings.IndexByte(base32Digits, d)
		if value < 0 {
			return nil, nil
		}
		if rest, bits = rest<<5|uint(value), bits+5; bits >= 8 {
			first = append(first, byte(rest>>(bits-8)))
			rest, bits = rest&(1<<(bits-8)-1), bits-8
		}
	}
	table := append([]byte{tableRecord}, first...)
	start := table
	if rest > 0 {
		start = append(append([]byte(nil), table...), byte(rest<<(8-bits)))
	}
	err = s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: table})
		defer it.Close()
		for it.Seek(start); it.Valid() && len(found) < limit; it.Next() {
			c, err := cid.Cast(it.Item().KeyCopy(nil)[1:])
			if err != nil {
				continue // fsck tells of it
			}
			if !strings.HasPrefix(c.String(), prefix) {
				return nil
			}
			found = append(found, c)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("records that begin with %.60q: %w", prefix, err)
	}
	return found, nil
}

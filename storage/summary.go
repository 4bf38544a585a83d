package storage

import (
	"crypto/sha256"
	"fmt"
	"math"

	"github.com/dgraph-io/badger/v4"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Range is an inclusive run of sequence numbers.
type Range struct {
	From uint64 `cbor:"from"`
	To   uint64 `cbor:"to"`
}

// AuthorSummary tells which records of an author are stored. Two stores with equal summaries hold the same records of that author.
type AuthorSummary struct {
	Author peer.ID
	Ranges []Range           // sequence numbers of which at least one record is stored: sorted, disjoint, not adjacent
	Count  uint64            // records; more than the ranges hold if the author signed several with one number
	Digest [sha256.Size]byte // exclusive or of the SHA-256 of the CIDs
}

// Summaries are the summaries of all authors of whom something is stored, in the order of the bytes of their ids.
func (s *Store) Summaries() ([]AuthorSummary, error) {
	if err := s.enter(); err != nil {
		return nil, fmt.Errorf("summarise records: %w", err)
	}
	defer s.leave()
	var all []AuthorSummary
	err := s.eachOf([]byte{tableAuthor}, func(author peer.ID, seq uint64, c cid.Cid) {
		if len(all) == 0 || all[len(all)-1].Author != author {
			all = append(all, AuthorSummary{Author: author})
		}
		all[len(all)-1].add(seq, c)
	})
	if err != nil {
		return nil, fmt.Errorf("summarise records: %w", err)
	}
	return all, nil
}

// add counts a record; they come in order of seq.
func (a *AuthorSummary) add(seq uint64, c cid.Cid) {
	a.Count++
	for i, b := range sha256.Sum256(c.Bytes()) {
		a.Digest[i] ^= b
	}
	last := len(a.Ranges) - 1
	switch {
	case last >= 0 && a.Ranges[last].To == seq:
	case last >= 0 && a.Ranges[last].To+1 == seq:
		a.Ranges[last].To = seq
	default:
		a.Ranges = append(a.Ranges, Range{seq, seq})
	}
}

// Have tells for every author which sequence numbers are stored, as sorted disjoint ranges.
func (s *Store) Have() (map[peer.ID][]Range, error) {
	all, err := s.Summaries()
	if err != nil {
		return nil, err
	}
	have := make(map[peer.ID][]Range, len(all))
	for _, a := range all {
		have[a.Author] = a.Ranges
	}
	return have, nil
}

// CIDs are the ids of at most limit records of author, in order of sequence number. The list is complete up to the number upto, which
// is math.MaxUint64 if all are in it.
func (s *Store) CIDs(author peer.ID, limit int) (all []cid.Cid, upto uint64, err error) {
	if err := s.enter(); err != nil {
		return nil, 0, fmt.Errorf("records of %s: %w", author, err)
	}
	defer s.leave()
	upto = math.MaxUint64
	err = s.eachOf(authorPrefix(author), func(_ peer.ID, seq uint64, c cid.Cid) {
		switch {
		case len(all) < limit:
			all = append(all, c)
		case upto == math.MaxUint64:
			upto = seq - 1
		}
	})
	if err != nil {
		return nil, 0, fmt.Errorf("records of %s: %w", author, err)
	}
	return all, upto, nil
}

// eachOf calls f for the keys of the author table with a prefix. It reads no values.
func (s *Store) eachOf(prefix []byte, f func(peer.ID, uint64, cid.Cid)) error {
	return s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			author, seq, c, err := parseAuthorKey(it.Item().Key())
			if err != nil {
				return err
			}
			f(author, seq, c)
		}
		return nil
	})
}

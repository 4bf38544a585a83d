package storage

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Range is an inclusive run of numbers: of an author's records, or of rounds.
type Range struct{ From, To uint64 }

// Authors counts the records of each author.
func (s *Store) Authors() (map[peer.ID]int, error) {
	if err := s.enter(); err != nil {
		return nil, fmt.Errorf("count records: %w", err)
	}
	defer s.leave()
	count := map[peer.ID]int{}
	err := s.db.View(func(txn *badger.Txn) error {
		return eachKey(txn, []byte{tableAuthor}, func(item *badger.Item) error {
			author, _, _, err := parseAuthorKey(item.Key())
			count[author]++
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("count records: %w", err)
	}
	return count, nil
}

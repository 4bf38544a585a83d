package storage

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Limits of state. Larger values belong into blobs.
const (
	MaxStateKey   = 1 << 10
	MaxStateValue = 256 << 10
)

// Put, Get and Delete hold small node state (JSON values) under a key, e.g. "rounds/000001/scores"; Keys lists by prefix in order.

// Put stores a value durably, replacing any other.
func (s *Store) Put(key string, value []byte) error {
	if key == "" || len(key) > MaxStateKey || len(value) > MaxStateValue {
		return fmt.Errorf("state %.60q of %d bytes: %w (key 1 to %d bytes, value %d)", key, len(value), ErrTooLarge, MaxStateKey, MaxStateValue)
	}
	return s.updateState(key, int64(len(value)), func(txn *badger.Txn) error { return txn.Set(stateKey(key), bytes.Clone(value)) })
}

// Get reads a value, or fails with ErrNotFound.
func (s *Store) Get(key string) ([]byte, error) {
	if err := s.enter(); err != nil {
		return nil, fmt.Errorf("state %q: %w", key, err)
	}
	defer s.leave()
	var value []byte
	err := s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(stateKey(key))
		if err != nil {
			return err
		}
		value, err = item.ValueCopy(nil)
		return err
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("state %q: %w", key, err)
	}
	return value, nil
}

// Delete removes a key; it is no error if there is none.
func (s *Store) Delete(key string) error {
	return s.updateState(key, 0, func(txn *badger.Txn) error { return txn.Delete(stateKey(key)) })
}

// Keys lists the keys with a prefix, in order.
func (s *Store) Keys(prefix string) ([]string, error) {
	if err := s.enter(); err != nil {
		return nil, fmt.Errorf("state keys %q: %w", prefix, err)
	}
	defer s.leave()
	var keys []string
	err := s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: stateKey(prefix)})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			keys = append(keys, string(it.Item().Key()[1:]))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("state keys %q: %w", prefix, err)
	}
	return keys, nil
}

func (s *Store) updateState(key string, bytes int64, f func(*badger.Txn) error) error {
	if err := s.enterToWrite(bytes); err != nil {
		return fmt.Errorf("state %q: %w", key, err)
	}
	defer s.leave()
	if err := s.db.Update(f); err != nil {
		return fmt.Errorf("state %q: %w", key, err)
	}
	return nil
}

func stateKey(key string) []byte { return append([]byte{tableState}, key...) }

package storage

import (
	"errors"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

func TestHomeOfANewerProgramIsLeftAlone(t *testing.T) {
	home := t.TempDir()
	s, err := Open(home, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.db.Update(func(txn *badger.Txn) error { return txn.Set(schemaKey, []byte("2")) })
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, opt := range []Options{{}, {ReadOnly: true}} {
		for range 2 { // a refusal must leave the home unlocked
			if _, err := Open(home, opt); !errors.Is(err, ErrSchema) {
				t.Errorf("%+v: got %v, want %v", opt, err, ErrSchema)
			}
		}
	}
}

func TestFullDiskIsNotOpened(t *testing.T) {
	full := spaceGuard{home: t.TempDir(), floor: DefaultMinFree, free: func(string) (int64, error) { return indexHeadroom - 1, nil }}
	if err := full.prepare(); !errors.Is(err, ErrNoSpace) {
		t.Errorf("got %v, want %v", err, ErrNoSpace)
	}
}

package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

// schema is the format of the index and of the blob folder.
const schema = 2

// Keys of the index begin with a byte that tells their table:
//
//	'm' "schema"                        -> schema, as text
//	'm' "records"                       -> number of records
//	'r' CID                             -> arrival number, envelope
//	'a' arrival number                  -> CID
//	'k' kind 0 arrival number           -> CID
//	's' author length, author, seq, CID -> nothing
//	't' place in the timeline           -> nothing
//	'o' kind 0 round CID                -> nothing, for records of a round
//	'v' state key                       -> state value
//
// Numbers are 8 bytes, big endian, so that they sort.
const (
	tableMeta     = 'm'
	tableRecord   = 'r'
	tableArrival  = 'a'
	tableKind     = 'k'
	tableAuthor   = 's'
	tableTimeline = 't'
	tableRound    = 'o'
	tableState    = 'v'
)

var (
	schemaKey = []byte("mschema")
	countKey  = []byte("mrecords")
)

func recordKey(c cid.Cid) []byte { return append([]byte{tableRecord}, c.Bytes()...) }

func kindPrefix(k record.Kind) []byte { return append(append([]byte{tableKind}, k...), 0) }

func roundPrefix(k record.Kind) []byte { return append(append([]byte{tableRound}, k...), 0) }

// parseRoundKey reads round and CID from a key of the round table.
func parseRoundKey(key []byte) (round uint64, c cid.Cid, err error) {
	_, rest, ok := bytes.Cut(key, []byte{0})
	if !ok || len(rest) < 8 {
		return 0, cid.Undef, fmt.Errorf("index: bad round key %x", key)
	}
	if c, err = cid.Cast(rest[8:]); err != nil {
		return 0, cid.Undef, fmt.Errorf("index: bad round key %x: %w", key, err)
	}
	return binary.BigEndian.Uint64(rest), c, nil
}

func authorPrefix(author peer.ID) []byte {
	return append([]byte{tableAuthor, byte(len(author))}, author...) // an Ed25519 id has 38 bytes
}

func authorKey(author peer.ID, seq uint64, c cid.Cid) []byte {
	return append(binary.BigEndian.AppendUint64(authorPrefix(author), seq), c.Bytes()...)
}

// parseAuthorKey is the inverse of authorKey. c stays undefined if the key ends before it.
func parseAuthorKey(key []byte) (author peer.ID, seq uint64, c cid.Cid, err error) {
	const fixed = 2
	if len(key) < fixed || len(key) < fixed+int(key[1])+8 {
		return "", 0, cid.Undef, fmt.Errorf("index: bad author key %x", key)
	}
	rest := key[fixed+int(key[1]):]
	c, err = cid.Cast(rest[8:])
	if err != nil {
		return "", 0, cid.Undef, fmt.Errorf("index: bad author key %x: %w", key, err)
	}
	return peer.ID(key[fixed : fixed+int(key[1])]), binary.BigEndian.Uint64(rest), c, nil
}

// indexOptions are small-node settings: about 6 MB of heap an instance, where the defaults take 86 MB.
func indexOptions(dir string, readOnly bool, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithReadOnly(readOnly).
		WithMemTableSize(4 << 20).
		WithNumMemtables(2).
		WithValueLogFileSize(16 << 20).
		WithBlockCacheSize(2 << 20).
		WithIndexCacheSize(1 << 20).
		WithNumCompactors(2).
		WithValueThreshold(4 << 10).
		WithCompression(options.None).
		WithMetricsEnabled(false).
		WithLogger(indexLog{log})
}

// openIndex opens Badger, brings the index to this program's schema, and finds the newest arrival number.
func (s *Store) openIndex(readOnly bool) error {
	db, err := badger.Open(indexOptions(s.indexDir(), readOnly, s.opt.Log))
	if err != nil {
		return fmt.Errorf("open index: %w", err)
	}
	if s.load != nil {
		if err := s.load(db); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	if err := s.prepareIndex(db, readOnly); err != nil {
		return errors.Join(err, db.Close())
	}
	s.db = db
	return nil
}

func (s *Store) prepareIndex(db *badger.DB, readOnly bool) error {
	if err := migrate(db, readOnly, s.space, s.opt.Log); err != nil {
		return err
	}
	last, err := lastArrival(db)
	if err != nil {
		return err
	}
	count, err := readCount(db)
	if err != nil {
		return err
	}
	s.arrival.Store(last)
	s.count.Store(count)
	return nil
}

func setCount(txn *badger.Txn, n int64) error {
	return txn.Set(countKey, binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func readCount(db *badger.DB) (n int64, err error) {
	value, err := readMeta(db, countKey)
	if err == nil && len(value) == 8 {
		n = int64(binary.BigEndian.Uint64(value))
	}
	return n, err
}

// readMeta reads a key of the meta table, nil if it is not there.
func readMeta(db *badger.DB, key []byte) (value []byte, err error) {
	err = db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		value, err = item.ValueCopy(nil)
		return err
	})
	return value, err
}

// eachKey calls f for the entries with a prefix, in order of their keys; their values are not read.
func eachKey(txn *badger.Txn, prefix []byte, f func(*badger.Item) error) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := f(it.Item()); err != nil {
			return err
		}
	}
	return nil
}

func lastArrival(db *badger.DB) (last uint64, err error) {
	err = db.View(func(txn *badger.Txn) error {
		key := lastKey(txn, []byte{tableArrival})
		if len(key) == 1+8 {
			last = binary.BigEndian.Uint64(key[1:])
		}
		return nil
	})
	return last, err
}

// lastKey is the highest key with a prefix, nil if there is none. Keys with 0xff right after the prefix, and at least 16 more, are
// not found; no table has them.
func lastKey(txn *badger.Txn, prefix []byte) []byte {
	it := txn.NewIterator(badger.IteratorOptions{Reverse: true, Prefix: prefix})
	defer it.Close()
	it.Seek(append(append([]byte(nil), prefix...), strings.Repeat("\xff", 16)...))
	if !it.Valid() {
		return nil
	}
	return it.Item().KeyCopy(nil)
}

// indexLog sends Badger's warnings and errors to a slog.Logger; its other messages tell nothing to a user.
type indexLog struct{ log *slog.Logger }

func (l indexLog) Errorf(format string, args ...any) { l.log.Error("index: " + line(format, args)) }
func (l indexLog) Warningf(format string, args ...any) {
	l.log.Warn("index: " + line(format, args))
}
func (l indexLog) Infof(string, ...any)  {}
func (l indexLog) Debugf(string, ...any) {}

func line(format string, args []any) string { return strings.TrimSpace(fmt.Sprintf(format, args...)) }

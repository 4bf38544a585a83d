package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/ipfs/go-cid"
)

// Errors callers branch on.
var (
	ErrLocked   = errors.New("home folder is in use by another node")
	ErrNotFound = errors.New("not found")
	ErrCorrupt  = errors.New("content does not match its CID")
	ErrNoSpace  = errors.New("not enough free disk space")
	ErrReadOnly = errors.New("home folder is open for reading only")
	ErrClosed   = errors.New("home folder is closed")
	ErrBusy     = errors.New("blob is already being downloaded")
	ErrTooLarge = errors.New("larger than allowed")
	ErrSchema   = errors.New("home folder has a format that this program does not know")
)

// DefaultMinFree is what must stay free on the disk of the home, in bytes.
const DefaultMinFree = 64 << 20

// Options of Open.
type Options struct {
	ReadOnly bool         // inspect a home whose node is not running; writes fail
	MinFree  int64        // bytes that writes leave free on the disk; 0 means DefaultMinFree
	Log      *slog.Logger // warnings of the index; nil discards them
}

// Store is an open home folder. Safe for concurrent use.
type Store struct {
	home  string
	opt   Options
	lock  *homeLock
	space *spaceGuard
	db    *badger.DB
	load  func(*badger.DB) error // fills the index, which is empty, before anything else is written to it; nil: nothing to fill it with

	putting  sync.Mutex    // held while records are stored
	arrival  atomic.Uint64 // arrival number given out last
	count    atomic.Int64  // records
	timeline timeline
	partials openPartials

	use    sync.RWMutex // held for reading during an operation on db, so that Close waits for it
	closed bool
}

// openPartials are the CIDs of the open Partials of a Store.
type openPartials struct {
	sync.Mutex
	set map[cid.Cid]bool
}

// Open locks home and opens (creating) index/ and blobs/ in it. It fails with ErrLocked if another process has it open, with
// ErrNoSpace if the disk is too full for the index to open safely, and with ErrSchema if a newer program wrote it.
//
// Opened read-only, nothing is created, several processes may share the home, and all methods that write fail with ErrReadOnly. A
// home left by a crash, or written by an older program, is first opened for writing for a moment, which is what its node would do.
func Open(home string, opt Options) (*Store, error) {
	s := newStore(home, opt)
	open := s.openForWriting
	if opt.ReadOnly {
		open = s.openForReading
	}
	if err := open(); err != nil {
		return nil, fmt.Errorf("open home %s: %w", home, err)
	}
	return s, nil
}

// newStore is a store that is not open.
func newStore(home string, opt Options) *Store {
	if opt.MinFree == 0 {
		opt.MinFree = DefaultMinFree
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{home: home, opt: opt, space: &spaceGuard{home: home, floor: opt.MinFree, free: freeBytes}}
	s.partials.set = make(map[cid.Cid]bool)
	return s
}

func (s *Store) openForWriting() (err error) {
	for _, dir := range []string{s.home, s.indexDir(), s.blobDir(), s.partialDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if s.lock, err = lockHome(s.home, false); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.lock.release())
		}
	}()
	if err := s.space.prepare(); err != nil {
		return err
	}
	if err := s.removeTemporary(); err != nil {
		return err
	}
	if err := s.removeNewborn(); err != nil {
		return err
	}
	return s.openIndex(false)
}

func (s *Store) openForReading() (err error) {
	if _, err := os.Stat(s.indexDir()); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: no index folder; is this the home of a node?", ErrNotFound)
	}
	if s.lock, err = lockHome(s.home, true); err != nil {
		return err
	}
	err = s.openIndex(true)
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrSchema) {
		return errors.Join(err, s.lock.release())
	}
	// Badger refuses to read what a killed process left until a writer has replayed its log, and only a writer can bring an index to a newer
	// schema.
	if err := s.lock.release(); err != nil {
		return err
	}
	writer, err := Open(s.home, Options{MinFree: s.opt.MinFree, Log: s.opt.Log})
	if err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	if s.lock, err = lockHome(s.home, true); err != nil {
		return err
	}
	if err := s.openIndex(true); err != nil {
		return errors.Join(err, s.lock.release())
	}
	return nil
}

// Close waits for running operations, closes the index and unlocks the home. Open Partials keep their bytes; close them first.
func (s *Store) Close() error {
	s.use.Lock()
	defer s.use.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if err := errors.Join(s.db.Close(), s.lock.release()); err != nil {
		return fmt.Errorf("close home %s: %w", s.home, err)
	}
	return nil
}

// enter begins an operation; leave must be called after it, if enter gave no error.
func (s *Store) enter() error {
	s.use.RLock()
	if s.closed {
		s.use.RUnlock()
		return ErrClosed
	}
	return nil
}

func (s *Store) leave() { s.use.RUnlock() }

// enterToWrite is enter for an operation that writes about n bytes.
func (s *Store) enterToWrite(n int64) error {
	if s.opt.ReadOnly {
		return ErrReadOnly
	}
	if err := s.space.check(n); err != nil {
		return err
	}
	return s.enter()
}

func (s *Store) indexDir() string   { return filepath.Join(s.home, "index") }
func (s *Store) blobDir() string    { return filepath.Join(s.home, "blobs") }
func (s *Store) partialDir() string { return filepath.Join(s.home, "blobs", "partial") }

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	ballastName  = "ballast"
	ballastBytes = 32 << 20

	// indexHeadroom is what opening the index may write at most: the log of one memtable, the table it is flushed to, and the tail of
	// a value log file.
	indexHeadroom = 24 << 20
)

// usedFresh is for how long the size of a home is believed; what this process writes is added to it at once.
const usedFresh = 10 * time.Second

// spaceGuard keeps writes from filling the disk, and blobs from making the home larger than its quota. The ballast is a file that may be given up when the
// disk is nearly full, so that the index can open and the user can look at the home and clear it.
type spaceGuard struct {
	home  string
	floor int64                           // bytes that writes leave free
	free  func(dir string) (int64, error) // freeBytes

	mu       sync.Mutex
	quota    int64 // bytes that the home may have; 0: no limit
	used     int64 // bytes that it has
	measured time.Time
	refused  int64 // bytes of the largest write refused that would still be
}

// Space is what a home takes and may take of its disk, in bytes.
type Space struct {
	Free  int64 // on the disk, for an ordinary user
	Used  int64 // by the home
	Quota int64 // that it may use; 0: no limit
}

// Space tells how much room there is.
func (s *Store) Space() (Space, error) {
	g := s.space
	free, err := g.room()
	if err != nil {
		return Space{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return Space{Free: free, Used: g.size(), Quota: g.quota}, nil
}

// Room is nil while the store takes writes, and wraps ErrNoSpace while the disk or the quota is too full for them, or for one that was refused and
// still would be.
func (s *Store) Room() error {
	g := s.space
	free, err := g.room()
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.overdrawn(free, g.refused); err != nil {
		return err
	}
	g.refused = 0
	return nil
}

// room is what is free on the disk.
func (g *spaceGuard) room() (int64, error) {
	free, err := g.free(g.home)
	if err != nil {
		return 0, fmt.Errorf("free space of %s: %w", g.home, err)
	}
	return free, nil
}

// SetQuota limits what the home may take on its disk, in bytes; 0 is no limit. Blobs beyond it are refused with ErrNoSpace.
func (s *Store) SetQuota(bytes int64) {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	s.space.quota = bytes
}

// Recount has the size of the home measured anew: files were removed.
func (s *Store) Recount() {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	s.space.measured = time.Time{}
}

// size is what the home takes. Callers hold mu.
func (g *spaceGuard) size() int64 {
	if now := time.Now(); now.Sub(g.measured) > usedFresh {
		g.used, g.measured = DirBytes(g.home), now
	}
	return g.used
}

// DirBytes adds up the files in a folder; those that vanish meanwhile do not count.
func DirBytes(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// check refuses if writing n bytes would leave less than the floor. Records and state, which are small, need no more: a node at its quota still
// starts, and hears of what happens.
func (g *spaceGuard) check(n int64) error { return g.ask(0, n, n, g.crowded) }

// checkBlob refuses also if n more bytes of a blob would make the home larger than its quota. The bytes written before are lost with the refusal,
// so that the blob needs room for them, too, when it is tried again.
func (g *spaceGuard) checkBlob(written, n int64) error { return g.ask(written, n, n, g.overdrawn) }

// admitBlob refuses a blob of n bytes before any are written.
func (g *spaceGuard) admitBlob(n int64) error { return g.ask(0, n, 0, g.overdrawn) }

// ask refuses n bytes, or counts those of them that are written at once.
func (g *spaceGuard) ask(lost, n, count int64, refusal func(free, n int64) error) error {
	free, err := g.room()
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := refusal(free, n); err != nil {
		g.refused = max(g.refused, lost+n)
		return err
	}
	g.used += count
	return nil
}

// crowded tells why the disk does not take n bytes.
func (g *spaceGuard) crowded(free, n int64) error {
	if free-n < g.floor {
		return fmt.Errorf("%w: %d MiB are free on the disk of %s and %d MiB must stay free; delete something there or move the home",
			ErrNoSpace, free>>20, g.home, g.floor>>20)
	}
	return nil
}

// overdrawn tells why n bytes of a blob cannot be written. Callers hold mu.
func (g *spaceGuard) overdrawn(free, n int64) error {
	if err := g.crowded(free, n); err != nil {
		return err
	}
	if g.quota > 0 && g.size()+n > g.quota {
		return fmt.Errorf("%w: the home %s takes %d MiB of the %d MiB of its quota; keep fewer rounds with `mlecs gc --keep-rounds`, or raise disk_quota in its config.yaml",
			ErrNoSpace, g.home, g.used>>20, g.quota>>20)
	}
	return nil
}

// prepare gives up the ballast if the disk is nearly full, restores it if there is room, and refuses if the index cannot open safely.
func (g *spaceGuard) prepare() error {
	free, err := g.room()
	if err != nil {
		return err
	}
	path := filepath.Join(g.home, ballastName)
	_, err = os.Stat(path)
	absent := errors.Is(err, fs.ErrNotExist)
	switch {
	case free < g.floor && !absent:
		if err := os.Remove(path); err != nil {
			return err
		}
		if free, err = g.room(); err != nil {
			return err
		}
	case absent && free > g.floor+2*ballastBytes:
		if err := writeBallast(path); err != nil {
			return fmt.Errorf("hold back disk space: %w", err)
		}
	}
	if free < indexHeadroom {
		return fmt.Errorf("%w: %d MiB are free on the disk of %s and opening it takes up to %d MiB; delete something there",
			ErrNoSpace, free>>20, g.home, int64(indexHeadroom)>>20)
	}
	return nil
}

// writeBallast writes real blocks: a file with holes would hold nothing back.
func writeBallast(path string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	block := make([]byte, 1<<20)
	for range ballastBytes / len(block) {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return nil
}

// FreeBytes is what an ordinary user may still write on the disk of dir.
func FreeBytes(dir string) (int64, error) {
	free, err := freeBytes(dir)
	if err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return free, nil
}

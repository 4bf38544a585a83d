package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	ballastName  = "ballast"
	ballastBytes = 32 << 20

	// indexHeadroom is what opening the index may write at most: the log of one memtable, the table it is flushed to, and the tail of
	// a value log file.
	indexHeadroom = 24 << 20
)

// spaceGuard keeps writes from filling the disk. The ballast is a file that may be given up when the disk is nearly full, so that
// the index can open and the user can look at the home and clear it.
type spaceGuard struct {
	home  string
	floor int64                           // bytes that writes leave free
	free  func(dir string) (int64, error) // freeBytes
}

// check refuses if writing n bytes would leave less than the floor.
func (g *spaceGuard) check(n int64) error {
	free, err := g.free(g.home)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", g.home, err)
	}
	if free-n < g.floor {
		return fmt.Errorf("%w: %d MiB are free on the disk of %s and %d MiB must stay free; delete something there or move the home",
			ErrNoSpace, free>>20, g.home, g.floor>>20)
	}
	return nil
}

// Room is nil while the store takes writes, and wraps ErrNoSpace while the disk is too full for them.
func (s *Store) Room() error { return s.space.check(0) }

// prepare gives up the ballast if the disk is nearly full, restores it if there is room, and refuses if the index cannot open safely.
func (g *spaceGuard) prepare() error {
	free, err := g.free(g.home)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", g.home, err)
	}
	path := filepath.Join(g.home, ballastName)
	_, err = os.Stat(path)
	absent := errors.Is(err, fs.ErrNotExist)
	switch {
	case free < g.floor && !absent:
		if err := os.Remove(path); err != nil {
			return err
		}
		if free, err = g.free(g.home); err != nil {
			return fmt.Errorf("free space of %s: %w", g.home, err)
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

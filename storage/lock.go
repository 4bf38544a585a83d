package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// homeLock is an advisory lock on the file "lock" of a home: one writer, or any number of readers. The kernel drops it when its
// process dies, however it dies.
type homeLock struct{ f *flock.Flock }

// lockHome locks home or fails with ErrLocked at once. A writer leaves its process id in the file for that error's sake.
func lockHome(home string, shared bool) (*homeLock, error) {
	path := filepath.Join(home, "lock")
	f := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	try := f.TryLock
	if shared {
		try = f.TryRLock
	}
	ok, err := try()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !ok {
		return nil, errors.Join(lockedError(home, path), f.Close())
	}
	if !shared {
		if err := os.WriteFile(path, fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
	}
	return &homeLock{f}, nil
}

func lockedError(home, path string) error {
	who := ""
	if text, err := os.ReadFile(path); err == nil {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			who = fmt.Sprintf(" (process %d)", pid)
		}
	}
	return fmt.Errorf("%w: %s%s; stop it or choose another home", ErrLocked, home, who)
}

// release empties the file if it was locked for writing, so that no later error names a process that is gone, and unlocks it.
func (l *homeLock) release() error {
	var err error
	if l.f.Locked() {
		err = os.Truncate(l.f.Path(), 0)
	}
	return errors.Join(err, l.f.Close())
}

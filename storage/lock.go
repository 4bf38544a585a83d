package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// homeLock is an advisory lock on the file "lock" of a home: one writer, or any number of readers. The kernel drops it when its
// process dies, however it dies.
type homeLock struct{ f *flock.Flock }

// Readers hold a home for the moment of a command, so a writer waits for them a little.
const (
	readerPatience = time.Second
	readerPoll     = 20 * time.Millisecond
)

// lockHome locks home or fails with ErrLocked. For that error's sake a writer leaves its process id in the file, and a reader,
// who knows that no writer is left, clears it.
func lockHome(home string, shared bool) (*homeLock, error) {
	path := filepath.Join(home, "lock")
	f := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	content := fmt.Appendln(nil, os.Getpid())
	try := f.TryLock
	if shared {
		content = nil
		try = f.TryRLock
	}
	for deadline := time.Now().Add(readerPatience); ; time.Sleep(readerPoll) {
		ok, err := try()
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if ok {
			break
		}
		if holder := holderOf(path); holder != "" || time.Now().After(deadline) {
			return nil, errors.Join(lockedError(home, holder), f.Close())
		}
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return &homeLock{f}, nil
}

// holderOf is the process id in a lock file, empty if only readers hold the lock.
func holderOf(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return strconv.Itoa(pid)
}

func lockedError(home, holder string) error {
	if holder == "" {
		return fmt.Errorf("%w: %s is being inspected; try again", ErrLocked, home)
	}
	return fmt.Errorf("%w: %s (process %s); stop it or choose another home", ErrLocked, home, holder)
}

// release empties the file if it was locked for writing, so that no later error names a process that is gone, and unlocks it.
func (l *homeLock) release() error {
	var err error
	if l.f.Locked() {
		err = os.Truncate(l.f.Path(), 0)
	}
	return errors.Join(err, l.f.Close())
}

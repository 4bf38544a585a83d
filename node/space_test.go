package node

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage"
)

// A super-peer without room must not take the aggregate that it cannot store for one that is out of reach, pass over it, and close the round itself.
func TestFullDiskIsNoReasonToPassOverAnAggregate(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		full bool
	}{
		{"the quota is used up", fmt.Errorf("fetch blob: %w", storage.ErrNoSpace), true},
		{"the disk is full", fmt.Errorf("fetch blob: %w", syscall.ENOSPC), true},
		{"nobody has it", fmt.Errorf("fetch blob: %w", p2p.ErrUnavailable), false},
	} {
		err := notFetched(c.err)
		if errors.Is(err, errNotFetched) == c.full || !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.name, err)
		}
		if final := final(t.Context(), err); errors.Is(final, errFinal) == c.full {
			t.Errorf("%s: %v", c.name, final)
		}
	}
}

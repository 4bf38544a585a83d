package node

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	thriftEvery  = 5 * time.Second
	thriftAfter  = 2  // looks in a row that find the learner at rest
	thriftRepeat = 12 // looks until it is done again
)

// giveBack returns memory to the system while the learner rests: what a round, or the start, took would otherwise stay with the process
// for minutes, and a machine at home has other things to do between rounds.
func (n *Node) giveBack(ctx context.Context) error {
	tick := time.NewTicker(thriftEvery)
	defer tick.Stop()
	for rested := 0; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !n.live.rests() {
			rested = 0
			continue
		}
		if rested++; rested%thriftRepeat == thriftAfter {
			debug.FreeOSMemory()
		}
	}
}

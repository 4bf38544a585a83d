package node

import (
	"context"
	"runtime/debug"
	"sync"
	"time"
)

const (
	thriftEvery  = 5 * time.Second
	thriftAfter  = 2  // looks in a row that find the learner at rest
	thriftRepeat = 12 // looks until it is done again
)

// lastGiven is when this process last gave memory back, which looks through all of its memory: nodes that share one must not each ask for it.
var lastGiven struct {
	sync.Mutex
	at time.Time
}

// giveBackOnce returns memory to the system, unless that was done a short while ago; it tells whether it did.
func giveBackOnce(now time.Time) bool {
	lastGiven.Lock()
	defer lastGiven.Unlock()
	if now.Sub(lastGiven.at) < thriftRepeat*thriftEvery-thriftEvery {
		return false
	}
	lastGiven.at = now
	debug.FreeOSMemory()
	return true
}

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
			giveBackOnce(time.Now())
		}
	}
}

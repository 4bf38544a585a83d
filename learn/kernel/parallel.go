package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Task is work on the half-open range [lo, hi) of some index space. Run is called from several goroutines at a time,
// with ranges that do not overlap.
type Task interface {
	Run(lo, hi int)
}

// Parallel calls f on consecutive ranges of at most grain indices that together cover [0, n), and returns when all
// calls have. The ranges depend on n and grain alone, never on the number of threads. Work of a single range runs in
// the calling goroutine. It is Do for a plain function.
func Parallel(n, grain int, f func(lo, hi int)) {
	Do(n, grain, taskFunc(f))
}

type taskFunc func(lo, hi int)

func (f taskFunc) Run(lo, hi int) { f(lo, hi) }

// Do runs t as Parallel does, and allocates nothing if t is a pointer.
//
// Ranges are handed out by a counter, so that a thread that the system holds up does not hold up the others, and the
// caller does not wait for helpers that never got to start. A helper lives as long as there is work in the call. Callers and
// helpers are at most GOMAXPROCS at a time in the whole process: calls made at the same time, or from inside t, share the helpers
// that are left, and where there are none do the work themselves. A panic in t reaches the caller.
func Do(n, grain int, t Task) {
	if n <= 0 {
		return
	}
	if grain < 1 {
		grain = 1
	}
	ranges := (n + grain - 1) / grain
	wanted := min(ranges, runtime.GOMAXPROCS(0)) - 1
	if wanted <= 0 {
		for lo := 0; lo < n; lo += grain {
			t.Run(lo, min(lo+grain, n))
		}
		return
	}
	c, ok := crews.Get().(*crew)
	if !ok {
		c = newCrew()
	}
	c.task, c.n, c.grain = t, n, grain
	c.next.Store(0)
	c.inside.Store(0)
	c.holders.Store(1)
	busy.Add(1)
	helpers := 0
	for helpers < wanted && hire() {
		helpers++
		c.holders.Add(1)
		go c.help()
	}
	if helpers > 0 {
		// The goroutine started last waits in a slot that other threads rob only after a sleep, some 100 us on
		// Linux. This one takes the slot; the helpers are free to go after what waking a thread takes.
		go nothing()
	}
	c.lead()
}

func nothing() {}

// busy counts the callers of Do with work for several threads, and their helpers, in the whole process.
var busy atomic.Int32

func hire() bool {
	limit := int32(runtime.GOMAXPROCS(0))
	for {
		n := busy.Load()
		if n >= limit {
			return false
		}
		if busy.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// crew is the state shared by the goroutines of one Do. It is reused, with its closure, so that Do does not allocate; the
// last goroutine to let go of it gives it back.
type crew struct {
	task     Task
	n, grain int
	next     atomic.Int64  // the first index not handed out
	inside   atomic.Int64  // helpers at work; plus closed once no more may enter
	empty    chan struct{} // told by the last helper to leave after closing
	holders  atomic.Int32
	failure  atomic.Pointer[failure]
	help     func()
}

const closed = 1 << 32

type failure struct{ value any }

var crews sync.Pool

func newCrew() *crew {
	c := &crew{empty: make(chan struct{}, 1)}
	c.help = func() {
		if c.enter() {
			c.assist()
		}
		busy.Add(-1)
		c.release()
	}
	return c
}

func (c *crew) release() {
	if c.holders.Add(-1) == 0 {
		crews.Put(c)
	}
}

func (c *crew) enter() bool {
	for {
		s := c.inside.Load()
		if s >= closed {
			return false
		}
		if c.inside.CompareAndSwap(s, s+1) {
			return true
		}
	}
}

// assist is a helper's share. A panic ends the call for all.
func (c *crew) assist() {
	defer func() {
		if v := recover(); v != nil {
			c.failure.CompareAndSwap(nil, &failure{v})
			c.next.Store(int64(c.n))
		}
		if c.inside.Add(-1) == closed {
			c.empty <- struct{}{}
		}
	}()
	c.work()
}

// lead is the caller's share. Helpers at work are waited for even if the task panics here, because they use the caller's
// data.
func (c *crew) lead() {
	defer func() {
		c.next.Store(int64(c.n))
		if c.inside.Add(closed) != closed {
			<-c.empty
		}
		busy.Add(-1)
		f := c.failure.Swap(nil)
		c.task = nil
		c.release()
		if f != nil {
			panic(f.value)
		}
	}()
	c.work()
}

func (c *crew) work() {
	for {
		hi := int(c.next.Add(int64(c.grain)))
		lo := hi - c.grain
		if lo >= c.n {
			return
		}
		c.task.Run(lo, min(hi, c.n))
	}
}

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
// Ranges are handed out by a counter, so that a thread that the system holds up does not hold up the others. The
// goroutines that help the caller live only as long as the call. There are at most GOMAXPROCS-1 of them at a
// time in the whole process: calls made at the same time, or from inside t, share them and otherwise do the work themselves. A
// panic in t reaches the caller.
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
	c := crews.Get().(*crew)
	c.task, c.n, c.grain = t, n, grain
	c.next.Store(0)
	helpers := 0
	for helpers < wanted && hire() {
		helpers++
		c.helpers.Add(1)
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

// hired counts the helpers of the whole process.
var hired atomic.Int32

func hire() bool {
	limit := int32(runtime.GOMAXPROCS(0)) - 1
	for {
		h := hired.Load()
		if h >= limit {
			return false
		}
		if hired.CompareAndSwap(h, h+1) {
			return true
		}
	}
}

// crew is the state shared by the goroutines of one Do. It is reused, with its closure, so that Do does not allocate.
type crew struct {
	task     Task
	n, grain int
	next     atomic.Int64
	helpers  sync.WaitGroup
	help     func()
	failure  atomic.Pointer[failure]
}

type failure struct{ value any }

var crews = sync.Pool{New: func() any {
	c := new(crew)
	c.help = func() {
		defer func() {
			if v := recover(); v != nil {
				c.failure.CompareAndSwap(nil, &failure{v})
				c.next.Store(int64(c.n))
			}
			hired.Add(-1)
			c.helpers.Done()
		}()
		c.work()
	}
	return c
}}

// lead is the caller's share. Helpers are waited for even if the task panics here, because they use the caller's data.
func (c *crew) lead() {
	defer func() {
		c.next.Store(int64(c.n))
		c.helpers.Wait()
		f := c.failure.Swap(nil)
		c.task = nil
		crews.Put(c)
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

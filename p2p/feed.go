package p2p

import (
	"sync"

	"github.com/mlecs/mlecs/storage/record"
)

// feed hands records to one subscriber in order, in a goroutine of its own. The queue has no bound: records are small and already on
// disk, and a slow subscriber must neither block gossip nor miss one.
type feed struct {
	f func(*record.Signed)

	mu     sync.Mutex
	queue  []*record.Signed
	closed bool
	wake   chan struct{} // holds a token while the queue may be non-empty
	done   chan struct{} // closed when the goroutine has ended
}

func startFeed(f func(*record.Signed)) *feed {
	d := &feed{f: f, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go d.run()
	return d
}

func (d *feed) push(r *record.Signed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.queue = append(d.queue, r)
	d.signal()
}

// close ends the feed; what is still queued is dropped. It does not wait, since a subscriber may cancel from inside its callback.
func (d *feed) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed, d.queue = true, nil
	d.signal()
}

func (d *feed) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *feed) run() {
	defer close(d.done)
	for range d.wake {
		for {
			r, ok, closed := d.pop()
			if closed {
				return
			}
			if !ok {
				break
			}
			d.f(r)
		}
	}
}

func (d *feed) pop() (r *record.Signed, ok, closed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.queue) == 0 {
		return nil, false, d.closed
	}
	r = d.queue[0]
	d.queue = d.queue[1:]
	return r, true, false
}

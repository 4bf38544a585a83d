package node

import (
	"time"

	"github.com/ipfs/go-cid"
)

// avoided are the aggregates that the learner passes over: for good if their content is unusable, for a while if it is not in reach. A
// leader may vanish right after it has announced an aggregate, before anybody has its blobs; the others must not wait for it for ever.
type avoided map[cid.Cid]*obstacle

// obstacle is why an aggregate could not be taken over.
type obstacle struct {
	since   time.Time // first failure
	until   time.Time // passed over until then
	forGood bool
}

// skip tells whether to pass over an aggregate now.
func (a avoided) skip(id cid.Cid) bool {
	o := a[id]
	return o != nil && (o.forGood || time.Now().Before(o.until))
}

// ban passes over an aggregate for good.
func (a avoided) ban(id cid.Cid) { a[id] = &obstacle{forGood: true} }

// miss notes that an aggregate was not in reach, and tells for how long; once that has lasted for patience, it is passed over for a time.
func (a avoided) miss(id cid.Cid, patience, rest time.Duration) time.Duration {
	o := a[id]
	if o == nil {
		o = &obstacle{since: time.Now()}
		a[id] = o
	}
	lasted := time.Since(o.since)
	if lasted >= patience {
		o.until = time.Now().Add(rest)
	}
	return lasted
}

// lasted is for how long an aggregate has not been in reach.
func (a avoided) lasted(id cid.Cid) time.Duration {
	if o := a[id]; o != nil && !o.forGood {
		return time.Since(o.since)
	}
	return 0
}

// reached forgets an aggregate that was out of reach before.
func (a avoided) reached(id cid.Cid) { delete(a, id) }

package node

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

const (
	keptEvents   = 512              // that a late reader still gets
	unreadEvents = 256              // that a slow reader may fall behind
	stepsEvery   = time.Second      // at most one event of the learner's steps in this time
	peersEvery   = time.Second      // how often connections are compared
	freshRecord  = 10 * time.Minute // older records are history that sync brings, no news
)

// events is what happens at a running node, for those who watch. Safe for concurrent use.
type events struct {
	mu      sync.Mutex
	last    uint64
	kept    []api.Event
	readers map[chan api.Event]bool
	phase   string
	stepped time.Time
	err     string
}

func newEvents() *events { return &events{readers: map[chan api.Event]bool{}} }

// tell gives an event its time and id. Ids are times, so that they also rise when a node starts again.
func (s *events) tell(e api.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellLocked(e)
}

func (s *events) tellLocked(e api.Event) {
	at := time.Now()
	s.last = max(s.last+1, uint64(at.UnixMicro()))
	e.ID, e.Time = s.last, at.UnixMilli()
	if len(s.kept) >= 2*keptEvents {
		s.kept = append(s.kept[:0], s.kept[keptEvents:]...)
	}
	s.kept = append(s.kept, e)
	for c := range s.readers {
		select {
		case c <- e:
		default: // too slow: it asks again for what it missed
			delete(s.readers, c)
			close(c)
		}
	}
}

// follow gives the kept events above an id, then those to come, until ctx ends or the reader falls behind.
func (s *events) follow(ctx context.Context, after uint64) <-chan api.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.kept
	for len(kept) > 0 && (kept[0].ID <= after || len(kept) > keptEvents) {
		kept = kept[1:]
	}
	c := make(chan api.Event, len(kept)+unreadEvents)
	for _, e := range kept {
		c <- e
	}
	s.readers[c] = true
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.readers[c] {
			delete(s.readers, c)
			close(c)
		}
	})
	return c
}

// progress tells of a new phase at once, and of steps now and then.
func (s *events) progress(w work) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := api.EventStep
	if w.phase != s.phase {
		kind = api.EventPhase
	} else if w.total == 0 || w.done < w.total && time.Since(s.stepped) < stepsEvery {
		return
	}
	s.phase, s.stepped = w.phase, time.Now()
	s.tellLocked(api.Event{Kind: kind, Text: w.phase, Done: w.done, Total: w.total, Loss: finite(w.loss)})
}

// fail tells of an error, once until another one or none comes.
func (s *events) fail(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text != s.err && text != "" {
		s.tellLocked(api.Event{Kind: api.EventError, Text: text})
	}
	s.err = text
}

// take indexes a record that came in or was made here, and tells of it if it is new.
func (n *Node) take(r *record.Signed) {
	if n.ledger.add(r) {
		n.tellRecord(r)
		if err := n.ledger.flaw(r.CID); err != nil {
			n.log.Info("aggregate does not stand", "aggregate", r.CID, "author", r.Author, "reason", err)
		}
	}
}

// tellRecord tells of a delta or an aggregate.
func (n *Node) tellRecord(r *record.Signed) {
	if time.Since(time.UnixMilli(r.Created)) > freshRecord {
		return
	}
	e := api.Event{Peer: r.Author.String(), CID: r.CID.String()}
	if c, ok := n.ledger.holder(r.Author); ok {
		e.Name = c.Name
	}
	switch r.Kind {
	case record.KindDelta:
		body, err := record.BodyAs[record.Delta](r)
		if err != nil {
			return
		}
		e.Kind, e.Round = api.EventDelta, body.Round
		for _, c := range body.Components {
			e.Bytes += c.Blob.Bytes
		}
	case record.KindAggregate:
		body, err := record.BodyAs[record.Aggregate](r)
		if err != nil {
			return
		}
		e.Kind, e.Round = api.EventRound, body.Round
		for _, c := range body.Components {
			e.Bytes += c.Blob.Bytes
		}
	default:
		return
	}
	n.events.tell(e)
}

// watchPeers is the service that tells of members that come and go.
func (n *Node) watchPeers(ctx context.Context) error {
	tick := time.NewTicker(peersEvery)
	defer tick.Stop()
	connected := map[peer.ID]string{}
	for {
		before := connected
		connected = map[peer.ID]string{}
		for _, p := range n.network.Peers() {
			if p.Role == "" {
				continue
			}
			connected[p.ID] = p.Name
			if _, ok := before[p.ID]; !ok {
				n.events.tell(api.Event{Kind: api.EventPeer, Peer: p.ID.String(), Name: p.Name, Text: "connected"})
			}
		}
		for id, name := range before {
			if _, ok := connected[id]; !ok {
				n.events.tell(api.Event{Kind: api.EventPeer, Peer: id.String(), Name: name, Text: "away"})
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

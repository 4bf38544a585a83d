package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/storage/record"
)

// super is the learner of a super-peer. The one that leads opens a round with the aggregate of the round before, collects deltas, and
// closes it with the next aggregate; the others follow by its checkpoints, so that each can lead when those before it are gone.
type super struct {
	*learner
	cloud *method.Cloud
	at    cid.Cid // aggregate whose state the cloud is in; undefined at the start
	turn  *turn   // the round that is open; nil at the start

	arrived time.Time // see settle
}

func newSuper(l *learner) (*super, error) {
	large, small, err := l.cfg.loadTier(l.store, l.genesis)
	if err != nil {
		return nil, err
	}
	rs := l.rows
	c, err := method.NewCloud(l.seat.config(), large, small, rs.shapes, rs.public, l.genesis.Share, l.cfg.stream())
	if err != nil {
		return nil, fmt.Errorf("build the super-peer's models: %w", err)
	}
	if x, ok, err := l.home.givenAdapter(0); err != nil {
		return nil, err
	} else if ok && l.ledger.newest(nil) == nil {
		if err := c.StartFrom(x); err != nil {
			return nil, fmt.Errorf("begin with the adapter given: %w", err)
		}
	}
	total, trainable := c.Params()
	return &super{learner: l, cloud: c}, l.remember(func(f *facts) { f.ParamsTotal, f.ParamsTrainable = total, trainable })
}

// never is how long a super-peer goes without an aggregate of which too little was in reach for a whole deadline: it closes the round itself, and must
// not return to the other one while edges build on its own.
const never = 100 * 365 * 24 * time.Hour

// serve runs until ctx ends, or a failure that a new try from the newest checkpoint may mend.
func (s *super) serve(ctx context.Context) error {
	if err := s.scoreConstant(s.rows.public); err != nil {
		return err
	}
	if err := s.hearOthers(ctx); err != nil {
		return err
	}
	s.arrive()
	for {
		changed := s.ledger.next()
		s.observe()
		a := s.ledger.newest(s.avoided.skip)
		if a != nil && s.at != a.cid {
			err := s.audit(ctx, a)
			if err == nil {
				err = s.follow(ctx, a)
			}
			if errors.Is(err, errNotFetched) && s.avoided.lasted(a.cid) >= s.deadline() {
				err = s.followParts(ctx, a, err)
			}
			if err != nil {
				if err := s.retry(ctx, a, err, changed, s.deadline(), never); err != nil {
					return err
				}
				continue
			}
		}
		if s.paused() {
			s.live.enter(phasePaused)
			if s.turn != nil {
				s.turn.held = true
			}
			if !s.await(ctx, changed) {
				return ctx.Err()
			}
			continue
		}
		s.open(a)
		switch {
		case a != nil && s.last(a.body.Round):
			if err := s.finish(a.body.Round); err != nil {
				return err
			}
			if !s.await(ctx, changed) {
				return ctx.Err()
			}
		case !s.leads():
			s.live.enter(phaseWaiting)
			if !pause(ctx, changed, retryEvery) {
				return ctx.Err()
			}
		default:
			if err := s.lead(ctx, a); err != nil {
				return err
			}
		}
	}
}

// hearOthers waits, when the node has just begun to run, for a sync with any other member: what is stored here may be old, and whoever leads
// must know what the others did meanwhile. With nobody in reach it goes on alone after a deadline.
func (s *super) hearOthers(ctx context.Context) error {
	if len(s.network.Members()) == 1 {
		return nil
	}
	s.live.enter(phaseWaiting)
	tick := time.NewTicker(retrySoon)
	defer tick.Stop()
	for until := time.Now().Add(s.deadline()); time.Now().Before(until); {
		if s.network.Synced() {
			if s.ledger.count() >= s.store.Count() { // records go to the ledger a moment after they are stored
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.log.Warn("no member in reach: going on with what is stored here")
	return nil
}

// follow puts the cloud into the state after a, from its checkpoint, and scores it. It fetches all of a's blobs: edges may want them when
// their author is gone.
func (s *super) follow(ctx context.Context, a *aggregateEntry) error {
	defer s.busy()()
	s.live.enter(phaseAbsorbing)
	cp := a.body.Checkpoint
	if !cp.CID.Defined() || cp.Bytes > maxCheckpoint {
		return fmt.Errorf("checkpoint: %w: none, or %d bytes are too many", errBadBlob, cp.Bytes)
	}
	if err := s.fetchBlobs(ctx, blobsOf(a.body), a.Author); err != nil {
		return err
	}
	r, size, err := s.store.OpenBlob(cp.CID)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer r.Close()
	if err := s.cloud.ReadState(io.LimitReader(r, size)); err != nil {
		return fmt.Errorf("checkpoint: %w: %w", errBadBlob, err)
	}
	s.log.Info("took over the checkpoint", "round", a.body.Round, "aggregate", a.cid)
	return s.followed(ctx, a)
}

// followParts makes do with a's components, for an author that vanished before anybody had its checkpoint: the small models take them over,
// and the large one goes on from where it is. Edges cannot go on from less than all that they fetch: where a part of that is not in reach it
// gives why, and the round is closed anew.
func (s *super) followParts(ctx context.Context, a *aggregateEntry, why error) error {
	defer s.busy()()
	var parts []adapter.Component
	for _, c := range a.body.Components {
		if err := checkComponent(c.Component, s.genesis.method.AggregateCodec); err != nil {
			return err
		}
		if s.fetchBlobs(ctx, []record.Blob{c.Blob}, a.Author) != nil {
			return why
		}
		part, err := readComponent(s.store, c.Component, adapter.Component{})
		if err != nil {
			return err
		}
		parts = append(parts, part)
	}
	if b := a.body.Supervision; b.CID.Defined() && s.fetchBlobs(ctx, []record.Blob{b}, a.Author) != nil {
		return why
	}
	if err := s.cloud.Adopt(parts); err != nil {
		return fmt.Errorf("%w: %w", errBadBlob, err)
	}
	s.log.Warn("took over an aggregate without its checkpoint", "round", a.body.Round, "aggregate", a.cid, "components", len(parts), "reason", why)
	return s.followed(ctx, a)
}

func (s *super) followed(ctx context.Context, a *aggregateEntry) error {
	s.at = a.cid
	s.pace.close(a.body.Round, time.Now(), s.liveEdges())
	s.avoided.reached(a.cid)
	s.live.fail(nil)
	return s.score(ctx, a.body.Round, s.cloud.Evaluate)
}

// lead closes the round after a, or opens the first one if a is nil.
func (s *super) lead(ctx context.Context, a *aggregateEntry) (err error) {
	var round uint64
	var inputs []input
	if err := s.begin(); err != nil {
		return err
	}
	s.settle() // who comes now has to leave this round to this node
	if a != nil {
		s.live.enter(phaseCollecting)
		if round, inputs, err = s.collect(ctx, a); err != nil || inputs == nil {
			return err // nil: another super-peer closed the round, or leads
		}
	}
	ctx, ended := s.span(ctx, spanRound, round)
	defer func() { ended(err) }()
	agg, err := s.aggregate(ctx, round, inputs)
	if err != nil {
		return err
	}
	publishing, published := s.span(ctx, spanPublish, round)
	r, err := s.issue(publishing, agg, a, inputs)
	published(err)
	if err != nil {
		return err
	}
	s.at = r.CID
	s.pace.close(round, time.Now(), s.liveEdges())
	s.live.fail(nil)
	s.log.Info("published aggregate", "round", round, "aggregate", r.CID, "inputs", len(inputs))
	return s.score(ctx, round, s.cloud.Evaluate)
}

// issue stores and publishes an aggregate.
func (s *super) issue(ctx context.Context, agg *method.Aggregate, a *aggregateEntry, inputs []input) (*record.Signed, error) {
	s.storing.RLock()
	defer s.storing.RUnlock()
	round := agg.Round
	own, err := s.contribute(ctx, agg, a)
	if err != nil {
		return nil, fmt.Errorf("contribution to round %d: %w", round, err)
	}
	body, parents, err := s.aggregateBody(agg, own, a, inputs)
	if err != nil {
		return nil, fmt.Errorf("aggregate of round %d: %w", round, err)
	}
	kind, encoded, err := record.NewBody(body)
	if err != nil {
		return nil, fmt.Errorf("aggregate of round %d: %w", round, err)
	}
	r, err := s.publish(ctx, kind, encoded, parents)
	if err != nil {
		return nil, fmt.Errorf("publish aggregate of round %d: %w", round, err)
	}
	return r, nil
}

// aggregate runs the cloud's part of a round.
func (s *super) aggregate(ctx context.Context, round uint64, inputs []input) (*method.Aggregate, error) {
	defer s.busy()()
	s.log.Info("aggregating", "round", round, "inputs", len(inputs))
	in := make([]method.Input, len(inputs))
	for i, d := range inputs {
		in[i] = *d.delta
	}
	s.cloud.SetSteps(int(s.genesis.policy(s.ledger).Steps.Cloud))
	progress, distilled := s.distilling(ctx, round, s.live.progress)
	agg, err := s.cloud.Round(ctx, round, in, progress)
	distilled(err)
	if err != nil {
		return nil, fmt.Errorf("aggregate round %d: %w", round, err)
	}
	return agg, nil
}

// contribute publishes what the cloud itself put into an aggregate, and gives the record's id.
func (s *super) contribute(ctx context.Context, agg *method.Aggregate, before *aggregateEntry) (cid.Cid, error) {
	body := &record.Contribution{Round: agg.Round, Rows: uint64(agg.OwnRows)}
	for i, c := range agg.Own {
		rc, err := putComponent(s.store, c, agg.OwnBlobs[i])
		if err != nil {
			return cid.Undef, err
		}
		body.Components = append(body.Components, rc)
	}
	kind, encoded, err := record.NewBody(body)
	if err != nil {
		return cid.Undef, err
	}
	r, err := s.publish(ctx, kind, encoded, []cid.Cid{s.preceding(before)})
	if err != nil {
		return cid.Undef, fmt.Errorf("publish: %w", err)
	}
	return r.CID, nil
}

// preceding is what a round builds on: the aggregate before, or the genesis.
func (s *super) preceding(before *aggregateEntry) cid.Cid {
	if before == nil {
		return s.genesis.id
	}
	return before.cid
}

// aggregateBody stores the blobs of an aggregate, and gives what its record says and builds on: the aggregate before, the super-peer's own
// contribution, and the deltas.
func (s *super) aggregateBody(agg *method.Aggregate, own cid.Cid, before *aggregateEntry, inputs []input) (*record.Aggregate, []cid.Cid, error) {
	parents := []cid.Cid{s.preceding(before), own}
	body := &record.Aggregate{Round: agg.Round, Metrics: finiteMetrics(agg.Metrics)}
	for i, in := range inputs {
		parents = append(parents, in.cid)
		body.Inputs = append(body.Inputs, record.Input{Delta: in.cid, Round: in.body.Round, Author: in.Author, Modalities: in.body.Modalities, Weight: agg.Weights[i]})
	}
	for _, part := range agg.Components {
		rc, err := putComponent(s.store, part.Component, part.Blob)
		if err != nil {
			return nil, nil, err
		}
		ac := record.AggregatedComponent{Component: rc, Rule: part.Rule}
		for k, i := range part.Inputs {
			w := record.ComponentWeight{Delta: own, Weight: part.Weights[k]}
			if i >= 0 {
				w.Delta = inputs[i].cid
			}
			ac.Inputs = append(ac.Inputs, w)
		}
		body.Components = append(body.Components, ac)
	}
	if agg.Supervision != nil {
		var err error
		if body.Supervision, err = s.store.PutBlobBytes(agg.SupervisionBlob); err != nil {
			return nil, nil, fmt.Errorf("store supervision: %w", err)
		}
	}
	var err error
	if body.Checkpoint, err = putPiped(s.store, s.cloud.WriteState); err != nil {
		return nil, nil, fmt.Errorf("store checkpoint: %w", err)
	}
	return body, parents, nil
}

package node

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"go.opentelemetry.io/otel/attribute"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/storage/record"
)

// edge is the learner of an edge: it absorbs the newest aggregate, trains, publishes a delta, and waits for the next aggregate. While no
// super-peer is in reach it merges the deltas of other edges instead: see cloudless.go.
type edge struct {
	*learner
	model   *method.Edge
	state   edgeState
	met     time.Time        // when a super-peer was last in reach
	waiting time.Time        // since when it has nothing to train
	useless map[cid.Cid]bool // deltas of others that are not to be merged
}

// edgeState is what an edge remembers beside its model. It is stored before a delta is published, so that a killed edge publishes what it
// trained, and trains no round twice.
type edgeState struct {
	Round uint64    `json:"round"`           // last round trained
	File  string    `json:"file"`            // the model after it, in models/; empty before the first round
	Start string    `json:"start"`           // aggregate that the round started from
	Built []cid.Cid `json:"built,omitempty"` // deltas that the round was built on beside it, the edge's own before first
	Delta []byte    `json:"delta"`           // body of the round's delta record
	Last  string    `json:"last"`            // aggregate of the last round that File has absorbed and adapted to; empty before
}

// newEdge builds the edge and restores what an earlier run left.
func newEdge(l *learner) (*edge, error) {
	base, err := l.cfg.loadBase(l.store, l.seat.base())
	if err != nil {
		return nil, err
	}
	rs := l.rows
	m, err := method.NewEdge(l.seat.config(), base, rs.shapes, rs.private, rs.public, l.genesis.Share, l.cfg.stream())
	if err != nil {
		return nil, fmt.Errorf("build the edge's model: %w", err)
	}
	m.SecretNoise()
	e := &edge{learner: l, model: m, met: time.Now(), waiting: time.Now(), useless: map[cid.Cid]bool{}}
	if ok, err := getJSON(l.store, keyEdge, &e.state); err != nil {
		return nil, err
	} else if ok {
		if err := l.readState(e.state.File, m.ReadState); err != nil {
			return nil, err
		}
		l.log.Info("resumed", "round", e.state.Round)
	}
	if c, ok, err := l.home.givenAdapter(e.state.Round); err != nil {
		return nil, err
	} else if ok {
		if err := m.StartFrom(c); err != nil {
			return nil, fmt.Errorf("begin with the adapter given: %w", err)
		}
		l.log.Info("the next round begins with the adapter given", "round", e.state.Round+1)
	}
	total, trainable := m.Params()
	return e, l.remember(func(f *facts) { f.ParamsTotal, f.ParamsTrainable = total, trainable })
}

// missing is how long an edge tries to reach an aggregate, and then passes over it for another one of its round, if there is any.
const missing = 5 * time.Second

// serve runs until ctx ends, or a failure that a new try from the stored state may mend.
func (e *edge) serve(ctx context.Context) error {
	if err := e.scoreConstant(e.rows.private); err != nil {
		return err
	}
	if e.state.Round == 0 { // round 0: before any exchange
		if err := e.score(ctx, 0, e.model.Evaluate); err != nil {
			return err
		}
	}
	if err := e.publishPending(ctx); err != nil {
		return err
	}
	absorbed := e.state.Last // CID of the aggregate that the model has taken over
	for {
		changed := e.ledger.next()
		e.observe()
		if e.superInReach() {
			e.met = time.Now()
			e.live.goAlone(false)
		}
		a := e.ledger.newest(e.avoided.skip)
		switch {
		case e.paused():
			e.live.enter(phasePaused)
			e.met, e.waiting = time.Now(), time.Now()
		case a == nil:
			e.live.enter(phaseWaiting)
		case e.hasTrained(a):
			// What was absorbed before is trained on already: wait for the next aggregate, whatever else this round brings.
			e.live.enter(phaseWaiting)
			if trained, err := e.carryOn(ctx); err != nil {
				return err
			} else if !trained && !pause(ctx, changed, retryEvery) { // super-peers come and go without a record
				return ctx.Err()
			}
			continue
		case absorbed != a.cid.String():
			e.live.enter(phaseAbsorbing)
			fetching, fetched := e.span(ctx, spanFetch, a.body.Round, attribute.String("mlecs.aggregate", a.cid.String()))
			agg, err := e.fetchAggregate(fetching, a, e.fits)
			fetched(err)
			if err == nil {
				err = e.audit(ctx, a)
			}
			if err == nil {
				err = e.absorb(ctx, a, agg)
			}
			if err != nil {
				if err := e.retry(ctx, a, err, changed, missing, missing); err != nil {
					return err
				}
				continue
			}
			e.avoided.reached(a.cid)
			e.pace.close(a.body.Round, time.Now(), e.liveEdges())
			e.pace.open(a.body.Round+1, time.Now(), e.ledger.latest())
			absorbed = a.cid.String()
			continue // look again: absorbing takes time
		case e.last(a.body.Round):
			if err := e.score(ctx, a.body.Round, e.model.Evaluate); err != nil { // a kill may have come between adapting and scoring
				return err
			}
			if err := e.finish(a.body.Round); err != nil {
				return err
			}
		case e.state.Last == a.cid.String():
			// The model is adapted to it as to the last one, and the founder has set a later last round: that begins with the aggregate itself.
			e.state.Last, absorbed = "", ""
			continue
		default:
			if err := e.train(ctx, a, a.body.Round+1, nil); err != nil {
				return err
			}
			continue
		}
		if !e.await(ctx, changed) {
			return ctx.Err()
		}
	}
}

// hasTrained tells whether the delta of the round after a exists. One that this home published after the backup that it was restored from has
// come back without its blobs, which perhaps nobody else has: that round is trained again, which from the same start gives the same bits.
func (e *edge) hasTrained(a *aggregateEntry) bool {
	round := a.body.Round + 1
	d := e.ledger.own(e.self, round)
	if e.state.Round >= round || d == nil {
		return e.state.Round >= round
	}
	lacks := func(c record.Component) bool { return !e.store.HasBlob(c.Blob.CID) }
	return !slices.Equal(d.Parents, []cid.Cid{a.cid}) || !slices.ContainsFunc(d.body.Components, lacks)
}

// absorb takes an aggregate over and scores the model.
func (e *edge) absorb(ctx context.Context, a *aggregateEntry, agg *method.Aggregate) error {
	defer e.busy()()
	if err := e.model.Absorb(agg); err != nil {
		return fmt.Errorf("absorb: %w: %w", errBadBlob, err)
	}
	e.live.fail(nil)
	e.log.Info("absorbed", "round", a.body.Round, "aggregate", a.cid, "components", len(agg.Components), "inputs", len(a.body.Inputs))
	if e.last(a.body.Round) {
		if err := e.adapt(ctx, a); err != nil {
			return err
		}
	}
	if a.body.Round == 0 {
		return nil
	}
	return e.score(ctx, a.body.Round, e.model.Evaluate)
}

// adapt fits the model to the last aggregate, and keeps it: nothing is trained after it.
func (e *edge) adapt(ctx context.Context, a *aggregateEntry) error {
	if err := e.model.Adapt(ctx, a.body.Round, e.live.progress); err != nil {
		return fmt.Errorf("adapt to round %d: %w", a.body.Round, err)
	}
	e.storing.RLock()
	defer e.storing.RUnlock()
	file, err := e.writeState("edge", a.body.Round, "adapted", e.model.WriteState)
	if err != nil {
		return err
	}
	e.state.File, e.state.Last = file, a.cid.String()
	if err := putJSON(e.store, keyEdge, e.state); err != nil {
		return err
	}
	e.dropStates("edge", file)
	return nil
}

// fits tells whether a component is one of this edge's.
func (e *edge) fits(c record.Component) bool { return e.model.Has(c.Name, c.Signature) }

// train runs a round that started from a, and from deltas if built has any, and publishes its delta.
func (e *edge) train(ctx context.Context, a *aggregateEntry, round uint64, built []cid.Cid) (err error) {
	ctx, ended := e.span(ctx, spanRound, round)
	defer func() { ended(err) }()
	d, err := e.trainRound(ctx, round)
	if err != nil {
		return err
	}
	e.storing.RLock()
	defer e.storing.RUnlock()
	body := &record.Delta{
		Round: round, Base: e.seat.base().Blob.CID, Modalities: d.Modalities,
		Rows: uint64(d.Rows), Public: uint64(d.Public), Metrics: finiteMetrics(d.Metrics),
	}
	for i, c := range d.Components {
		rc, err := putComponent(e.store, c, d.Blobs[i])
		if err != nil {
			return err
		}
		body.Components = append(body.Components, rc)
	}
	_, encoded, err := record.NewBody(body)
	if err != nil {
		return fmt.Errorf("delta of round %d: %w", round, err)
	}
	if d := e.ledger.own(e.self, round); d != nil && !slices.Equal(d.body.Components, body.Components) {
		e.log.Warn("trained again after a restore, and came to something else: others may not get the blobs of the delta of this round", "round", round, "delta", d.cid)
	}
	file, err := e.writeState("edge", round, "trained", e.model.WriteState)
	if err != nil {
		return err
	}
	used := e.home.adapterFile(e.state.Round)
	e.state = edgeState{Round: round, File: file, Start: a.cid.String(), Built: built, Delta: encoded}
	if err := putJSON(e.store, keyEdge, e.state); err != nil {
		return err
	}
	os.Remove(used) // if there was any
	e.dropStates("edge", file)
	e.waiting = time.Now()
	ctx, published := e.span(ctx, spanPublish, round)
	err = e.publishPending(ctx)
	published(err)
	return err
}

func (e *edge) trainRound(ctx context.Context, round uint64) (_ *method.Delta, err error) {
	defer e.busy()()
	if err := e.begin(); err != nil {
		return nil, err
	}
	steps := e.genesis.policy(e.ledger).Steps
	e.model.SetSteps(int(steps.CCL), int(steps.AMT))
	e.log.Info("training", "round", round)
	ctx, tuned := e.span(ctx, spanTune, round)
	defer func() { tuned(err) }()
	d, err := e.model.Round(ctx, round, e.live.progress)
	if err != nil {
		return nil, fmt.Errorf("train round %d: %w", round, err)
	}
	return d, nil
}

// publishPending publishes the delta of the last trained round. One that is in the store already, from before a restart, is announced
// again and never made anew: a member has one delta a round.
func (e *edge) publishPending(ctx context.Context) error {
	if e.state.Round == 0 {
		return nil
	}
	if d := e.ledger.own(e.self, e.state.Round); d != nil {
		r, err := e.store.Record(d.cid)
		if err != nil {
			return fmt.Errorf("read own delta %s: %w", d.cid, err)
		}
		if err := e.network.Publish(ctx, r); err != nil {
			return fmt.Errorf("announce delta %s again: %w", d.cid, err)
		}
		return nil
	}
	start, err := cid.Decode(e.state.Start)
	if err != nil {
		return fmt.Errorf("read the start of round %d: %w", e.state.Round, err)
	}
	r, err := e.publish(ctx, record.KindDelta, e.state.Delta, append([]cid.Cid{start}, e.state.Built...))
	if err != nil {
		return fmt.Errorf("publish delta of round %d: %w", e.state.Round, err)
	}
	e.log.Info("published delta", "round", e.state.Round, "delta", r.CID)
	return nil
}

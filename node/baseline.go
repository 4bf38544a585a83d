package node

import (
	"context"
	"fmt"
	"sync"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// gate keeps the standalone comparison back while the learner works, so that it takes only time in which the learner waits.
type gate struct {
	mu   sync.Mutex
	shut int // how many parts of the learner are at work
	free chan struct{}
}

func newGate() *gate {
	g := &gate{free: make(chan struct{})}
	close(g.free)
	return g
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut++; g.shut == 1 {
		g.free = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut--; g.shut == 0 {
		close(g.free)
	}
}

// wait returns when no part of the learner is at work, or ctx has ended.
func (g *gate) wait(ctx context.Context) {
	for {
		g.mu.Lock()
		shut, free := g.shut > 0, g.free
		g.mu.Unlock()
		if !shut {
			return
		}
		select {
		case <-free:
		case <-ctx.Done():
			return
		}
	}
}

// baseline trains the standalone comparison: the same model and budget on the node's own rows, without any exchange.
type baseline struct {
	*learner
	model *method.Standalone
	first uint64 // first round with training: super-peers learn in round 0, too
}

// baselineState is what the comparison remembers beside its model.
type baselineState struct {
	Begun bool   `json:"begun"`
	Round uint64 `json:"round"` // last round trained
	File  string `json:"file"`
}

// offerBaseline hands the loaded rows to the comparison's service. Only the first offer counts.
func (n *Node) offerBaseline(l *learner) {
	select {
	case n.baselineRows <- l:
	default:
	}
}

// compare is the service of the comparison.
func (n *Node) compare(ctx context.Context) error {
	if !n.cfg.Baseline {
		if err := n.remember(func(f *facts) { f.Compared = true }); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}
	var l *learner
	select {
	case l = <-n.baselineRows:
		n.offerBaseline(l) // for this service started again
	case <-ctx.Done():
		return ctx.Err()
	}
	b, state, err := newBaseline(l)
	if err != nil {
		return final(ctx, err)
	}
	return b.serve(ctx, state)
}

func newBaseline(l *learner) (*baseline, baselineState, error) {
	var state baselineState
	role, cfg := l.member.Role, l.seat.config()
	base, err := l.cfg.loadBase(l.store, l.seat.base())
	if err != nil {
		return nil, state, err
	}
	b := &baseline{learner: l, first: 1}
	rows, steps := l.rows.private, cfg.CCLSteps+cfg.AMTSteps
	if role == record.RoleSuper {
		rows, steps, b.first = l.rows.public, cfg.CloudSteps, 0
	}
	if b.model, err = method.NewStandalone(cfg, base, l.rows.shapes, rows, steps, l.cfg.stream()); err != nil {
		return nil, state, fmt.Errorf("build the standalone model: %w", err)
	}
	if _, err := getJSON(l.store, keyBaseline, &state); err != nil {
		return nil, state, err
	}
	return b, state, l.readState(state.File, b.model.ReadState)
}

func (b *baseline) serve(ctx context.Context, state baselineState) error {
	round := b.first
	if state.Begun {
		round = state.Round + 1
	} else if b.first > 0 {
		if err := b.scoreRound(ctx, 0); err != nil {
			return err
		}
	}
	for ; b.policy().Rounds == 0 || round <= b.policy().Rounds; round++ {
		if err := b.mayBegin(ctx, round); err != nil {
			return err
		}
		steps := b.genesis.policy(b.ledger).Steps
		if b.first > 0 {
			b.model.SetSteps(int(steps.CCL + steps.AMT))
		} else {
			b.model.SetSteps(int(steps.Cloud))
		}
		progress := func(_ string, done, total int, loss float64) {
			b.gate.wait(ctx)
			b.live.compare(phaseBaseline, done, total, loss)
		}
		if err := b.model.Round(ctx, round, progress); err != nil {
			return fmt.Errorf("train the standalone model, round %d: %w", round, err)
		}
		if b.first > 0 && b.last(round) { // as an edge does
			if err := b.model.Adapt(ctx, round, progress); err != nil {
				return fmt.Errorf("adapt the standalone model, round %d: %w", round, err)
			}
		}
		if err := b.scoreRound(ctx, round); err != nil {
			return err
		}
		if err := b.keep(round); err != nil {
			return err
		}
	}
	b.live.compare("", 0, 0, 0)
	if err := b.remember(func(f *facts) { f.Compared = true }); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// keep stores the model after a round.
func (b *baseline) keep(round uint64) error {
	b.storing.RLock()
	defer b.storing.RUnlock()
	file, err := b.writeState("baseline", round, "trained", b.model.WriteState)
	if err != nil {
		return err
	}
	if err := putJSON(b.store, keyBaseline, baselineState{Begun: true, Round: round, File: file}); err != nil {
		return err
	}
	b.dropStates("baseline", file)
	return nil
}

// mayBegin waits until the learner rests and, in an endless federation, has reached the round itself.
func (b *baseline) mayBegin(ctx context.Context, round uint64) error {
	for b.policy().Rounds == 0 || b.paused() {
		changed := b.ledger.next()
		if a := b.ledger.newest(nil); a != nil && a.body.Round >= round && !b.paused() {
			break
		}
		b.live.compare("", 0, 0, 0)
		if !rest(ctx, changed) {
			return ctx.Err()
		}
	}
	b.gate.wait(ctx)
	return ctx.Err()
}

// scoreRound stores the standalone score of a round, unless there is one.
func (b *baseline) scoreRound(ctx context.Context, round uint64) error {
	if len(b.rows.test) == 0 {
		return nil
	}
	if ok, err := getJSON(b.store, scoreKey(keyStandalone, round), new(api.RoundScore)); err != nil || ok {
		return err
	}
	b.gate.wait(ctx)
	b.live.compare(phaseBaseline, 0, 0, 0)
	s, err := b.model.Evaluate(ctx, b.rows.test)
	if err != nil {
		return fmt.Errorf("evaluate the standalone model, round %d: %w", round, err)
	}
	return putScore(b.store, keyStandalone, round, score(s))
}

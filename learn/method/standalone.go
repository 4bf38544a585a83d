package method

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/mlecs/mlecs/learn/model"
)

// Stages of training on a node's own labelled rows are named alike in every method, so that methods that are compared see equal batches.
const (
	publicStage   = "ccl"
	labelledStage = "amt"
	adaptStage    = "adapt"
)

// Standalone is the comparison: the same model, seeds and number of steps on its own rows, no exchange.
type Standalone struct {
	learner
	rows  []row
	steps int
}

// NewStandalone makes the twin of an edge (its base, modalities and private rows, stepsPerRound CCLSteps+AMTSteps) or of a super-peer (the
// large base, the public rows with targets, stepsPerRound CloudSteps; it takes part in round 0 as well). stream is the twin's.
func NewStandalone(cfg Config, base *model.Base, modalities []model.Modality, rows []Example, stepsPerRound int, stream string) (*Standalone, error) {
	l, err := newLearner(cfg, base, modalities, stream)
	if err != nil {
		return nil, err
	}
	s := &Standalone{learner: *l, steps: stepsPerRound}
	if s.rows, err = prepare(cfg, base, l.modalities, rows); err != nil {
		return nil, fmt.Errorf("rows of %s: %w", stream, err)
	}
	if len(s.rows) == 0 || stepsPerRound < 1 {
		return nil, errors.New("standalone needs rows to learn from and at least one step a round")
	}
	if err := needTargets(s.rows); err != nil {
		return nil, fmt.Errorf("rows of %s: %w", stream, err)
	}
	return s, nil
}

// Round does one round's steps.
func (s *Standalone) Round(ctx context.Context, round uint64, p Progress) error {
	return s.tune(ctx, labelledStage, round, s.steps, p)
}

// Adapt does the steps that an edge does in its Adapt, to keep the budgets equal.
func (s *Standalone) Adapt(ctx context.Context, round uint64, p Progress) error {
	return s.tune(ctx, adaptStage, round, s.cfg.AMTSteps, p)
}

func (s *Standalone) tune(ctx context.Context, name string, round uint64, steps int, p Progress) error {
	goal := s.cfg.objective()
	goal.LM = 1
	_, err := s.train(ctx, stage{
		name: name, round: round, steps: steps, rows: s.rows,
		batch: func(rows []row) model.Batch { return labelled(s.modalities, rows) },
		goal:  goal, shown: show(p, "baseline", 0, steps),
	})
	return err
}

// Evaluate scores greedy answers on test rows.
func (s *Standalone) Evaluate(ctx context.Context, test []Example) (Scores, error) {
	return s.evaluate(ctx, test)
}

// WriteState writes everything a restart between rounds needs.
func (s *Standalone) WriteState(w io.Writer) error {
	return writeState(w, "standalone", []savedModel{{"model", s.model}}, nil, nil)
}

// ReadState is WriteState's inverse on a learner that was made with the same arguments.
func (s *Standalone) ReadState(r io.Reader) error {
	state, err := readState(r, "standalone", "model")
	if err != nil {
		return err
	}
	if err := s.model.ReadState(state.models["model"]); err != nil {
		return fmt.Errorf("reading the standalone state: %w", err)
	}
	return nil
}

package method

import (
	"context"
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

// Standalone is the comparison in the daemon: the same model, seeds and number of steps on its own rows, no exchange.
type Standalone struct {
	worker
	steps int
}

// NewStandalone makes the twin of an edge (its base, modalities and private rows, stepsPerRound CCLSteps+AMTSteps) or of a super-peer (the
// large base, the public rows with targets, stepsPerRound CloudSteps; it takes part in round 0 as well). stream is the twin's.
func NewStandalone(cfg Config, base *model.Base, modalities []model.Modality, rows []Example, stepsPerRound int, stream string) (*Standalone, error) {
	if stepsPerRound < 1 {
		return nil, fmt.Errorf("standalone needs at least one step a round, not %d", stepsPerRound)
	}
	w, err := newWorker(cfg, base, modalities, rows, nil, stream)
	if err != nil {
		return nil, err
	}
	return &Standalone{*w, stepsPerRound}, nil
}

// Round does one round's steps.
func (s *Standalone) Round(ctx context.Context, round uint64, p Progress) error {
	return s.study(ctx, labelledStage, round, s.steps, s.rows, s.cfg.objective(), p)
}

// SetSteps changes how many steps the next rounds have, at least 1.
func (s *Standalone) SetSteps(steps int) { s.steps = steps }

// Adapt does the steps that an edge does in its Adapt, to keep the budgets equal.
func (s *Standalone) Adapt(ctx context.Context, round uint64, p Progress) error {
	return s.adapt(ctx, round, p)
}

// WriteState writes everything a restart between rounds needs.
func (s *Standalone) WriteState(w io.Writer) error {
	return writeState(w, "standalone", soleModel(s.model), nil, nil)
}

// ReadState is WriteState's inverse on a learner that was made with the same arguments.
func (s *Standalone) ReadState(r io.Reader) error {
	state, err := readState(r, "standalone", soleModel(s.model))
	if err != nil {
		return err
	}
	if err := state.load(); err != nil {
		return err
	}
	return nil
}

package bench

import (
	"context"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/model"
)

// Step is the time of training steps: forward, backward, and AdamW on LoRA, encoder and connector.
type Step struct {
	Config string `json:"config"`
	Steps  int    `json:"steps"`
	Timing
	Machine
	// Base is set where the base is stored otherwise than in float32.
	Base *StoredBase `json:"base,omitempty"`

	// Profile is set where it was asked for.
	Profile *Profile `json:"profile,omitempty"`

	Weights int64 `json:"-"` // bytes of the parameters in float32
}

// StoredBase is what it costs and saves to store the base with fewer digits. Times and loss of float32 are of steps made in turn with those
// of the Step, on the same batch.
type StoredBase struct {
	DType       string  `json:"dtype"` // as it is stored: int8 where w8a8 was asked for and the machine cannot
	Params      int64   `json:"params"`
	Bytes       int64   `json:"bytes"` // at rest in memory
	Loss        float64 `json:"loss"`  // of the first step
	Float32Loss float64 `json:"fp32_loss"`
	Float32     Timing  `json:"fp32"`
}

// objective is that of the steps.
var objective = model.Objective{LM: 1, LR: 1e-4, Clip: 1}

// stepper makes steps on one batch.
type stepper struct {
	model *model.Model
	batch model.Batch
	dtype kernel.DType // of the base
	seed  uint64
	first float64 // loss of the first step
}

func newStepper(w Workload) (*stepper, error) {
	m, err := w.model()
	if err != nil {
		return nil, err
	}
	return &stepper{model: m, batch: w.batch(w.Rows), dtype: w.Base.DType()}, nil
}

func (s *stepper) step() error {
	s.seed++
	loss, err := s.model.Step(s.batch, objective, s.seed)
	if s.seed == 1 {
		s.first = loss.Total
	}
	return err
}

// StepOptions say more than a Workload.
type StepOptions struct {
	Steps   int
	DType   kernel.DType // of the base; if it is not float32, as many steps are made with one that is
	Profile bool
}

// MeasureStep measures training steps.
func MeasureStep(ctx context.Context, w Workload, o StepOptions) (Step, error) {
	n := o.Steps
	result := Step{Config: w.Name, Steps: n, Weights: 4 * w.Base.Params()}
	stored := w
	stored.Base = w.Base.Stored(o.DType)
	few, err := newStepper(stored)
	if err != nil {
		return result, err
	}
	if o.DType == kernel.Float32 {
		if result.Timing, err = measure(ctx, n, few.step); err != nil {
			return result, err
		}
		result.Machine = machine()
		return result, o.profile(ctx, few, &result)
	}
	full, err := newStepper(w)
	if err != nil {
		return result, err
	}
	times, err := measureInTurn(ctx, n, few.step, full.step)
	if err != nil {
		return result, err
	}
	result.Timing, result.Machine = times[0], machine()
	result.Base = &StoredBase{
		DType: few.dtype.String(), Params: stored.Base.Params(), Bytes: stored.Base.Bytes(), Loss: few.first, Float32Loss: full.first, Float32: times[1],
	}
	return result, o.profile(ctx, few, &result)
}

func (o StepOptions) profile(ctx context.Context, s *stepper, result *Step) (err error) {
	if o.Profile {
		result.Profile, err = measureProfile(ctx, s, o.Steps)
	}
	return err
}

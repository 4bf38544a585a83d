package method

import (
	crand "crypto/rand"
	"errors"
	"math"
	"math/rand/v2"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/privacy"
)

// PrivacyDelta is the delta at which epsilon is told: the chance that the bound does not hold.
const PrivacyDelta = 1e-5

// Metrics of a delta of a federation with DPNoise: what the node's deltas so far, this one included, tell of its private rows at most.
const (
	MetricEpsilon = "dp_epsilon"
	MetricDelta   = "dp_delta"
)

// privateStage seeds the noise of experiments.
const privateStage = "privacy"

// validatePrivacy is Validate's part about DPClip and DPNoise.
func (c Config) validatePrivacy() error {
	if err := checkRanges(nil, []floatRange{{"dp_clip", c.DPClip, 0, 1e6}, {"dp_noise", c.DPNoise, 0, 1e6}}); err != nil {
		return err
	}
	if c.DPNoise > 0 && c.DPClip == 0 {
		return errors.New("method: dp_noise is set and dp_clip is not; noise is a multiple of the norm that deltas are clipped to")
	}
	return nil
}

// SecretNoise makes the edge draw the noise of DPNoise from the system's randomness. Without it noise follows from the federation's seed,
// which all members know: right for experiments, which can be repeated, and no protection.
func (e *Edge) SecretNoise() { e.secret = true }

// noise is the source of a round's noise.
func (e *Edge) noise(round uint64) *rand.Rand {
	if !e.secret {
		return rand.New(rand.NewPCG(deriveSeed(e.cfg.Seed, e.stream, privateStage, round), 0))
	}
	var seed [32]byte
	crand.Read(seed[:]) // never fails
	return rand.New(rand.NewChaCha8(seed))
}

// protect bounds what learned, all that leaves the node in a round, tells of private rows: what it differs by from what others know already
// is clipped, as one vector, and noise is added. started are the same components before the round.
func (e *Edge) protect(round uint64, started, learned []adapter.Component) ([]adapter.Component, error) {
	if e.cfg.DPClip == 0 {
		return learned, nil
	}
	steps := make([]adapter.Component, len(learned))
	var values [][]float32
	for i, c := range learned {
		var err error
		if steps[i], err = c.Minus(e.outbox.reference(started[i])); err != nil {
			return nil, err
		}
		for _, t := range steps[i].Tensors {
			values = append(values, t.Data)
		}
	}
	privacy.Clip(values, e.cfg.DPClip)
	if e.cfg.DPNoise > 0 {
		privacy.AddNoise(values, e.cfg.DPNoise*e.cfg.DPClip, e.noise(round))
	}
	out := make([]adapter.Component, len(learned))
	for i, s := range steps {
		var err error
		if out[i], err = e.outbox.reference(started[i]).Plus(s); err != nil {
			return nil, err
		}
	}
	e.outbox.released++
	return out, nil
}

// Privacy is what the deltas that this edge has sent tell of its private rows at most: they are (epsilon, PrivacyDelta)-differentially
// private together, where neighbours are any two sets of private rows. It is 0 before the first, and infinite without noise.
func (e *Edge) Privacy() (epsilon float64) {
	if e.cfg.DPClip == 0 {
		return math.Inf(1)
	}
	return privacy.Epsilon(e.cfg.DPNoise, e.outbox.released, PrivacyDelta)
}

// tell replaces the metrics of a protected delta, which come from private rows, by what protects it.
func (e *Edge) tell(d *Delta) {
	if e.cfg.DPNoise > 0 {
		d.Metrics = map[string]float64{MetricEpsilon: e.Privacy(), MetricDelta: PrivacyDelta}
	}
}

package op

import (
	"cmp"
	"slices"
	"time"
)

// Meter tells what the parts of a training step take. Steps that do the same are run several times, and of every part of them the fastest run
// counts, so that what else the machine does is mostly left out. It sees all graphs of the process while it runs a step.
type Meter struct {
	Clock func() time.Duration // since some beginning

	marks []mark // of one step: parts, and between them what is in no part
	at    int
	last  time.Duration
}

// mark is one call of a part, in the order of a step.
type mark struct {
	Work
	part part
}

// Work is what calls of a part take, and what they need: the floating-point operations, the bytes of weights and optimiser state, which
// come from memory, and those of activations, which a step of a small batch finds in the caches.
type Work struct {
	Name    string
	Frozen  bool // products with the base, however it is stored
	Calls   int
	Time    time.Duration
	FLOPs   float64
	Weights float64
	Bytes   float64
}

// part is something that a step spends time on.
type part int

const (
	partRest part = iota
	partFrozen
	partFrozenGrad
	partTrained
	partTrainedGrad
	partLoRA
	partLoRAGrad
	partAttention
	partAttentionGrad
	partNorm
	partNormGrad
	partActivation
	partActivationGrad
	partLoss
	partUpdate
	parts
)

var partNames = [parts]string{
	partRest: "everything else", partFrozen: "frozen maps", partFrozenGrad: "frozen maps, backward", partTrained: "trained maps",
	partTrainedGrad: "trained maps, backward", partLoRA: "LoRA", partLoRAGrad: "LoRA, backward", partAttention: "attention",
	partAttentionGrad: "attention, backward", partNorm: "norms", partNormGrad: "norms, backward", partActivation: "GELU or SwiGLU",
	partActivationGrad: "GELU or SwiGLU, backward", partLoss: "cross-entropy", partUpdate: "AdamW",
}

// active is the meter of the step that runs; nil: none.
var active *Meter

// Step runs f, a step, and times its parts. Steps must do the same; one must have run before.
func (m *Meter) Step(f func() error) error {
	active, m.at, m.last = m, 0, m.Clock()
	defer func() { active = nil }()
	err := f()
	m.pass(partRest, 0, 0, 0)
	return err
}

// Parts sums the calls of every part, the longest first.
func (m *Meter) Parts() []Work {
	var sums [parts]Work
	for i := range m.marks {
		k := &m.marks[i]
		s := &sums[k.part]
		s.Calls++
		s.Time += k.Time
		s.FLOPs += k.FLOPs
		s.Weights += k.Weights
		s.Bytes += k.Bytes
	}
	var all []Work
	for p, s := range sums {
		s.Name, s.Frozen = partNames[p], part(p) == partFrozen || part(p) == partFrozenGrad
		if s.Calls > 0 {
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b Work) int { return cmp.Compare(b.Time, a.Time) })
	return all
}

// pass ends a part, or what was between two.
func (m *Meter) pass(p part, flops, weights, bytes float64) {
	now := m.Clock()
	took := now - m.last
	m.last = now
	if m.at == len(m.marks) {
		m.marks = append(m.marks, mark{part: p, Work: Work{Time: took}})
	}
	k := &m.marks[m.at]
	m.at++
	k.part, k.Time = p, min(k.Time, took)
	k.FLOPs, k.Weights, k.Bytes = flops, weights, bytes
}

// enter begins a part, which leave ends.
func enter() {
	if active != nil {
		active.pass(partRest, 0, 0, 0)
	}
}

// leave ends a part that needs so many floating-point operations, bytes of weights, and float32 of activations.
func leave(p part, flops int, weights int64, activations int) {
	if active != nil {
		active.pass(p, float64(flops), float64(weights), 4*float64(activations))
	}
}

// EnterUpdate begins the update of the parameters, which LeaveUpdate ends.
func EnterUpdate() { enter() }

// LeaveUpdate ends the update of n parameters, each with its gradient and two moments.
func LeaveUpdate(n int) { leave(partUpdate, 12*n, int64(7*4*n), 0) }

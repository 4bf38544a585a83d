package kernel

import "math"

// AdamW holds the hyper-parameters of Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), as PyTorch
// computes it.
type AdamW struct {
	LR          float32 // learning rate of this step
	Beta1       float32 // decay of the mean of gradients
	Beta2       float32 // decay of the mean of squared gradients
	Eps         float32 // added to the root of the second mean
	WeightDecay float32 // weights lose LR*WeightDecay of themselves each step
	Scale       float32 // of the gradients, as when they are clipped: 1 leaves them as they are
}

// Update makes one step on the weights w with gradients g. m and v hold the first and second moments and begin as zeros; step
// counts from 1 and is used for bias correction.
func (o AdamW) Update(step int, w, g, m, v []float32) {
	checkLen("gradients", len(g), len(w))
	checkLen("first moments", len(m), len(w))
	checkLen("second moments", len(v), len(w))
	s := newSweep(func(s *sweep, lo, hi int) {
		adamw(&s.adam, s.a[lo:hi], s.b[lo:hi], s.c[lo:hi], s.d[lo:hi])
	})
	s.a, s.b, s.c, s.d = w, g, m, v
	s.adam = o.step(step)
	s.do(len(w), 1)
}

// adamStep is an AdamW with bias correction worked in. The assembly reads the fields by their order.
type adamStep struct {
	beta1, rest1 float32 // beta, (1-beta) * the gradients' scale
	beta2, rest2 float32 // the same of squares
	keep         float32 // 1 - LR*WeightDecay
	rate         float32 // LR / (1-beta1^step)
	correct2     float32 // 1/sqrt(1-beta2^step)
	eps          float32
}

func (o AdamW) step(step int) adamStep {
	b1, b2 := float64(o.Beta1), float64(o.Beta2)
	return adamStep{
		beta1: o.Beta1, rest1: float32((1 - b1) * float64(o.Scale)),
		beta2: o.Beta2, rest2: float32((1 - b2) * float64(o.Scale) * float64(o.Scale)),
		keep:     float32(1 - float64(o.LR)*float64(o.WeightDecay)),
		rate:     float32(float64(o.LR) / (1 - math.Pow(b1, float64(step)))),
		correct2: float32(1 / math.Sqrt(1-math.Pow(b2, float64(step)))),
		eps:      o.Eps,
	}
}

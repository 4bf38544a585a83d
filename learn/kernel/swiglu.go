package kernel

// SwiGLU computes y = gate * sigmoid(gate) * up (arXiv 2002.05202), and the slopes of y with respect to gate and to up, so that
// the gradients cost a product each. The slopes may take the places of gate and up.
func SwiGLU(y, gate, up, gateSlope, upSlope []float32) {
	checkLen("gate", len(gate), len(y))
	checkLen("up", len(up), len(y))
	checkLen("slope of gate", len(gateSlope), len(y))
	checkLen("slope of up", len(upSlope), len(y))
	s := newSweep(func(s *sweep, lo, hi int) { swiglu(s.a[lo:hi], s.b[lo:hi], s.c[lo:hi], s.d[lo:hi], s.e[lo:hi]) })
	s.a, s.b, s.c, s.d, s.e = y, gate, up, gateSlope, upSlope
	s.do(len(y), 1)
}

//go:build !amd64 && !arm64

package kernel

func axpy(alpha float32, x, y []float32)                 { axpyPortable(alpha, x, y) }
func scale(alpha float32, x []float32)                   { scalePortable(alpha, x) }
func multiplyShifted(dst, x, y []float32, shift float32) { multiplyShiftedPortable(dst, x, y, shift) }
func dot(x, y []float32) float32                         { return dotPortable(x, y) }
func sum(x []float32) float32                            { return sumPortable(x) }
func squares(x []float32, mean float32) float32          { return squaresPortable(x, mean) }
func maximum(x []float32) float32                        { return maximumPortable(x) }
func expShifted(dst, x []float32, shift float32) float32 { return expShiftedPortable(dst, x, shift) }
func gelu(dst, x []float32)                              { geluPortable(dst, x) }
func geluGrad(dx, x, dy []float32)                       { geluGradPortable(dx, x, dy) }
func adamw(s *adamStep, w, g, m, v []float32)            { adamwPortable(s, w, g, m, v) }
func geluSlope(y, slope, x []float32)                    { geluSlopePortable(y, slope, x) }

func swiglu(y, gate, up, gateSlope, upSlope []float32) {
	swigluPortable(y, gate, up, gateSlope, upSlope)
}
func multiplyScaled(dst, x, y []float32, scale float32) { multiplyScaledPortable(dst, x, y, scale) }

func dropout(dst, x []float32, first uint32, m *Mask)    { dropoutPortable(dst, x, first, m, false) }
func dropoutAdd(dst, x []float32, first uint32, m *Mask) { dropoutPortable(dst, x, first, m, true) }

func normalise(y, x, gain, bias []float32, mean, scale float32) {
	normalisePortable(y, x, gain, bias, mean, scale)
}

func normGradParams(x, dy []float32, mean, scale float32, dgain, dbias []float32) {
	normGradParamsPortable(x, dy, mean, scale, dgain, dbias)
}

func normGradSums(x, dy, gain []float32, mean, scale float32) (sum, dotted float32) {
	return normGradSumsPortable(x, dy, gain, mean, scale)
}

func normGrad(dx, x, dy, gain []float32, mean, scale, sum, dotted float32) {
	normGradPortable(dx, x, dy, gain, mean, scale, sum, dotted)
}

func addWeighted(sums []float64, x []float32, w *float64) { addWeightedPortable(sums, x, *w) }

func addWeightedFour(sums []float64, xs *[4][]float32, w *[4]float64) {
	for i, x := range xs {
		addWeightedPortable(sums, x, w[i])
	}
}

func quotients(dst []float32, dividends []float64, divisor float64) {
	quotientsPortable(dst, dividends, divisor)
}

func allFinite(x []float32) bool                            { return allFinitePortable(x) }
func dequantise(dst []float32, steps []byte, scale float32) { dequantisePortable(dst, steps, scale) }

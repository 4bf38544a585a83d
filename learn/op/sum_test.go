package op_test

import (
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/op"
)

// A row is the sum of the inputs that have it, and the others get no gradient from it.
func TestSumTakesWhatIsPresent(t *testing.T) {
	s := &op.Sum{}
	if _, err := s.Shape([]tensor.Shape{{3, 2}, {3, 2}}); err != nil {
		t.Fatal(err)
	}
	s.Present = [][]bool{{true, false, true}, {true, true}} // of the last row of the second input nothing is said: it is there
	in := [][]float32{{1, 2, 3, 4, 5, 6}, {10, 20, 30, 40, 50, 60}}
	out := make([]float32, 6)
	s.Forward(out, in)
	if want := []float32{11, 22, 30, 40, 55, 66}; !slices.Equal(out, want) {
		t.Errorf("sum %v, want %v", out, want)
	}
	grads := [][]float32{make([]float32, 6), make([]float32, 6)}
	for _, g := range grads {
		for i := range g {
			g[i] = 9 // left from before
		}
	}
	s.Backward(grads, []float32{1, 2, 3, 4, 5, 6}, in, nil)
	if want := []float32{1, 2, 0, 0, 5, 6}; !slices.Equal(grads[0], want) {
		t.Errorf("gradient of the first input %v, want %v", grads[0], want)
	}
	if want := []float32{1, 2, 3, 4, 5, 6}; !slices.Equal(grads[1], want) {
		t.Errorf("gradient of the second input %v, want %v", grads[1], want)
	}
}

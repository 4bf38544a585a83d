package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Affine is y = x W + b, with the weight [in, out] as in GPT-2's Conv1D, or x W^T + b, with the weight [out, in] as in
// PyTorch's Linear, and optionally LoRA's low-rank update (arXiv 2106.09685): y += Scale (drop(x) A^T) B^T.
// Inputs: x [n, in], W, b [out] unless NoBias, and if Rank > 0 A [Rank, in] and B [out, Rank].
type Affine struct {
	OutFirst bool // the weight is [out, in]
	NoBias   bool

	Rank  int
	Scale float32 // alpha / Rank
	Noise Noise   // LoRA dropout
	// Frozen, if not nil, is the weight; the input is then not read.
	Frozen *kernel.Frozen

	name    string // in errors, for one of a Block's
	in, out int

	dropped       []float32 // drop(x) of the last Forward, if there is dropout
	mid, dmid, dx []float32 // drop(x) A^T and scratch
}

// tensors are the parameters of an Affine, or their gradients; nil where not wanted.
type tensors struct{ w, b, loraA, loraB []float32 }

// inputs counts the parameters of the Func form.
func (f *Affine) inputs() int {
	n := 1
	if !f.NoBias {
		n++
	}
	if f.Rank > 0 {
		n += 2
	}
	return n
}

func (f *Affine) take(in [][]float32) (t tensors, rest [][]float32) {
	t.w, in = in[0], in[1:]
	if !f.NoBias {
		t.b, in = in[0], in[1:]
	}
	if f.Rank > 0 {
		t.loraA, t.loraB, in = in[0], in[1], in[2:]
	}
	return t, in
}

func (f *Affine) String() string { return "affine" }

// Shape implements Func.
func (f *Affine) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) != 1+f.inputs() || len(in[0]) != 2 || len(in[1]) != 2 {
		return nil, fmt.Errorf("want x [n, in], a weight, bias and LoRA if any, got %v", in)
	}
	f.in, f.out = in[0][1], in[1][1]
	if f.OutFirst {
		f.out = in[1][0]
	}
	if _, err := f.check(in[1:]); err != nil {
		return nil, err
	}
	return tensor.Shape{in[0][0], f.out}, nil
}

// check verifies the shapes of the parameters at the head of in and returns the rest.
func (f *Affine) check(in []tensor.Shape) ([]tensor.Shape, error) {
	n := f.inputs()
	if len(in) < n {
		return nil, fmt.Errorf("%s has %d parameters, want %d", f.name, len(in), n)
	}
	shapes, names := []tensor.Shape{{f.in, f.out}}, []string{f.name + " weight"}
	if f.OutFirst {
		shapes[0] = tensor.Shape{f.out, f.in}
	}
	if !f.NoBias {
		shapes, names = append(shapes, tensor.Shape{f.out}), append(names, f.name+" bias")
	}
	if f.Rank > 0 {
		shapes = append(shapes, tensor.Shape{f.Rank, f.in}, tensor.Shape{f.out, f.Rank})
		names = append(names, f.name+" lora_A", f.name+" lora_B")
	}
	return in[n:], want(in[:n], names, shapes...)
}

// Forward implements Func.
func (f *Affine) Forward(out []float32, in [][]float32) {
	p, _ := f.take(in[1:])
	f.forward(out, in[0], p)
}

// Backward implements Func.
func (f *Affine) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	p, _ := f.take(in[1:])
	d, _ := f.take(grads[1:])
	f.backward(grads[0], 0, d, grad, in[0], p)
}

// forward writes the result to y.
func (f *Affine) forward(y, x []float32, p tensors) {
	var beta float32
	if p.b != nil {
		for i := 0; i < len(y); i += f.out {
			copy(y[i:], p.b)
		}
		beta = 1
	}
	f.product(y, beta, x, p)
}

// forwardAdd adds the result to y.
func (f *Affine) forwardAdd(y, x []float32, p tensors) {
	if p.b != nil {
		kernel.AddBias(len(x)/f.in, f.out, p.b, y)
	}
	f.product(y, 1, x, p)
}

// product is y = beta y + x W with LoRA's update.
func (f *Affine) product(y []float32, beta float32, x []float32, p tensors) {
	n := len(x) / f.in
	enter()
	if f.OutFirst {
		timesTransposed(y, x, p.w, f.Frozen, n, f.out, f.in, beta)
	} else {
		times(y, x, p.w, f.Frozen, n, f.in, f.out, beta)
	}
	f.leave(partFrozen, partTrained, n, 1)
	if f.Rank == 0 {
		return
	}
	enter()
	defer leave(partLoRA, 2*n*f.Rank*(f.in+f.out), 0, n*(f.in+2*f.out+2*f.Rank)+f.Rank*(f.in+f.out))
	if f.Noise.active() {
		f.Noise.draw()
		dropped := sized(&f.dropped, len(x))
		kernel.Dropout(dropped, x, f.Noise.mask)
		x = dropped
	}
	r := f.Rank
	mid := sized(&f.mid, n*r)
	kernel.Gemm(false, true, n, r, f.in, 1, x, f.in, p.loraA, f.in, 0, mid, r)
	kernel.Gemm(false, true, n, f.out, r, f.Scale, mid, r, p.loraB, r, 1, y, f.out)
}

// leave ends a part that was passes products of n rows with the weight.
func (f *Affine) leave(frozen, trained part, n, passes int) {
	p, weights := trained, int64(4*f.in*f.out)
	if f.Frozen != nil {
		p, weights = frozen, f.Frozen.Read()
	}
	leave(p, 2*passes*n*f.in*f.out, int64(passes)*weights, passes*n*(f.in+f.out))
}

// backward writes beta dx plus the gradient to dx, unless nil, and writes those of d that are not nil. x is the input of the
// last forward.
func (f *Affine) backward(dx []float32, beta float32, d tensors, dy, x []float32, p tensors) {
	in, out := f.in, f.out
	n := len(dy) / out
	enter()
	passes := 0
	if dx != nil {
		passes++
	}
	if d.w != nil {
		passes++
	}
	switch {
	case dx == nil:
	case f.OutFirst:
		times(dx, dy, p.w, f.Frozen, n, out, in, beta)
	default:
		timesTransposed(dx, dy, p.w, f.Frozen, n, in, out, beta)
	}
	switch {
	case d.w == nil:
	case f.OutFirst:
		kernel.Gemm(true, false, out, in, n, 1, dy, out, x, in, 0, d.w, in)
	default:
		kernel.Gemm(true, false, in, out, n, 1, x, in, dy, out, 0, d.w, out)
	}
	if d.b != nil {
		sumRows(d.b, dy)
	}
	f.leave(partFrozenGrad, partTrainedGrad, n, passes)
	if f.Rank == 0 {
		return
	}
	r := f.Rank
	enter()
	defer leave(partLoRAGrad, 4*n*r*(in+out), 0, n*(2*in+2*out+4*r)+2*r*(in+out))
	if d.loraB != nil {
		kernel.Gemm(true, false, out, r, n, f.Scale, dy, out, f.mid, r, 0, d.loraB, r)
	}
	dmid := sized(&f.dmid, n*r)
	kernel.Gemm(false, false, n, r, out, f.Scale, dy, out, p.loraB, r, 0, dmid, r)
	dropped := x
	if f.Noise.active() {
		dropped = f.dropped[:len(x)]
	}
	if d.loraA != nil {
		kernel.Gemm(true, false, r, in, n, 1, dmid, r, dropped, in, 0, d.loraA, in)
	}
	switch {
	case dx == nil:
	case f.Noise.active():
		back := sized(&f.dx, n*in)
		kernel.Gemm(false, false, n, in, r, 1, dmid, r, p.loraA, in, 0, back, in)
		kernel.DropoutAdd(dx, back, f.Noise.mask)
	default:
		kernel.Gemm(false, false, n, in, r, 1, dmid, r, p.loraA, in, 1, dx, in)
	}
}

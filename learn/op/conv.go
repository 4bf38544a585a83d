package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Conv2D is a 2-D convolution (cross-correlation, as in PyTorch) plus bias, with GELU on top if wanted. Inputs: x
// [B, C, H, W], weight [O, C, KH, KW], bias [O]. Output: [B, O, H', W'] with H' = (H + 2*PadH - KH)/StrideH + 1. A series is
// an image of height 1 with KH = 1.
//
// The windows of all images are unfolded into one matrix, so that the convolution is one matrix product:
// [O, C*KH*KW] x [C*KH*KW, B*H'*W'].
type Conv2D struct {
	StrideH, StrideW int // 0 means 1
	PadH, PadW       int // zeros on each side
	GELU             bool

	size           convSize
	x, out, grad   []float32 // what the tasks of Do work on
	dx             []float32
	windows, dwin  []float32 // [C*KH*KW, B*H'*W'] of the last Forward, and its gradient
	pre, dpre, dwT []float32 // [O, B*H'*W'] before GELU, and its gradient; the weight's gradient transposed
}

type convSize struct {
	batch, channels, h, w int
	out, kh, kw           int
	oh, ow                int
}

func (s *convSize) window() int    { return s.channels * s.kh * s.kw }
func (s *convSize) pixels() int    { return s.oh * s.ow }
func (s *convSize) positions() int { return s.batch * s.oh * s.ow }

func (c *Conv2D) String() string { return "2-D convolution" }

// Shape implements Func.
func (c *Conv2D) Shape(in []tensor.Shape) (tensor.Shape, error) {
	c.StrideH, c.StrideW = max(c.StrideH, 1), max(c.StrideW, 1)
	if c.PadH < 0 || c.PadW < 0 {
		return nil, fmt.Errorf("padding %d, %d is negative", c.PadH, c.PadW)
	}
	if len(in) != 3 || len(in[0]) != 4 || len(in[1]) != 4 {
		return nil, fmt.Errorf("want x [B, C, H, W], weight [O, C, KH, KW] and bias [O], got %v", in)
	}
	x, k := in[0], in[1]
	if err := want(in[1:], []string{"weight", "bias"}, tensor.Shape{-1, x[1], -1, -1}, tensor.Shape{k[0]}); err != nil {
		return nil, err
	}
	h, w := x[2]+2*c.PadH-k[2], x[3]+2*c.PadW-k[3]
	if h < 0 || w < 0 {
		return nil, fmt.Errorf("a kernel of %d x %d does not fit in an image of %d x %d with padding %d, %d", k[2], k[3], x[2], x[3], c.PadH, c.PadW)
	}
	c.size = convSize{
		batch: x[0], channels: x[1], h: x[2], w: x[3], out: k[0], kh: k[2], kw: k[3],
		oh: h/c.StrideH + 1, ow: w/c.StrideW + 1,
	}
	return tensor.Shape{x[0], k[0], c.size.oh, c.size.ow}, nil
}

// Forward implements Func.
func (c *Conv2D) Forward(out []float32, in [][]float32) {
	s, weight, bias := &c.size, in[1], in[2]
	n, k := s.positions(), s.window()
	windows, pre := sized(&c.windows, k*n), sized(&c.pre, s.out*n)
	c.x, c.out = in[0], out
	kernel.Do(k, convGrain(n), (*unfold)(c))
	for o, v := range bias {
		row := pre[o*n : (o+1)*n]
		for i := range row {
			row[i] = v
		}
	}
	kernel.Gemm(false, false, s.out, n, k, 1, weight, k, windows, n, 1, pre, n)
	kernel.Do(s.batch*s.out, convGrain(s.pixels()), (*activate)(c))
	c.x, c.out = nil, nil
}

// Backward implements Func.
func (c *Conv2D) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	s, weight := &c.size, in[1]
	n, k := s.positions(), s.window()
	dpre := sized(&c.dpre, s.out*n)
	c.grad = grad
	kernel.Do(s.batch*s.out, convGrain(s.pixels()), (*deactivate)(c))
	if dw := grads[1]; dw != nil {
		// The transposed product reads the windows as they lie; the result to turn around is small.
		dwT := sized(&c.dwT, k*s.out)
		kernel.Gemm(false, true, k, s.out, n, 1, c.windows, n, dpre, n, 0, dwT, s.out)
		for o := range s.out {
			row := dw[o*k : (o+1)*k]
			for i := range row {
				row[i] = dwT[i*s.out+o]
			}
		}
	}
	if db := grads[2]; db != nil {
		for o := range db {
			var sum float64
			for _, v := range dpre[o*n : (o+1)*n] {
				sum += float64(v)
			}
			db[o] = float32(sum)
		}
	}
	if dx := grads[0]; dx != nil {
		dwin := sized(&c.dwin, k*n)
		kernel.Gemm(true, false, k, n, s.out, 1, weight, k, dpre, n, 0, dwin, n)
		c.dx = dx
		kernel.Do(s.batch*s.channels, convGrain(s.kh*s.kw*s.pixels()), (*fold)(c))
	}
	c.grad, c.dx = nil, nil
}

// convGrain is how many rows of some length make a task that is worth handing to another thread.
func convGrain(length int) int { return 1 + 16384/length }

// unfold fills rows of the window matrix: row (channel, ky, kx) holds what that element of the kernel sees at each position.
type unfold Conv2D

func (c *unfold) Run(lo, hi int) {
	s := &c.size
	for r := lo; r < hi; r++ {
		channel, ky, kx := r/(s.kh*s.kw), r/s.kw%s.kh, r%s.kw
		dst := c.windows[r*s.positions():]
		for b := range s.batch {
			plane := c.x[(b*s.channels+channel)*s.h*s.w:][:s.h*s.w]
			for oy := range s.oh {
				row := dst[(b*s.oh+oy)*s.ow:][:s.ow]
				y := oy*c.StrideH - c.PadH + ky
				if y < 0 || y >= s.h {
					clear(row)
					continue
				}
				unfoldRow(row, plane[y*s.w:(y+1)*s.w], kx-c.PadW, c.StrideW)
			}
		}
	}
}

// unfoldRow is dst[i] = src[at + i*stride], with zeros outside of src.
func unfoldRow(dst, src []float32, at, stride int) {
	lo, hi := inside(len(dst), len(src), at, stride)
	clear(dst[:lo])
	clear(dst[hi:])
	if stride == 1 && lo < hi {
		copy(dst[lo:hi], src[at+lo:])
		return
	}
	for i := lo; i < hi; i++ {
		dst[i] = src[at+i*stride]
	}
}

// inside gives the range of i in [0, n) for which at + i*stride lies in [0, size).
func inside(n, size, at, stride int) (lo, hi int) {
	if at < 0 {
		lo = min(n, (-at+stride-1)/stride)
	}
	if at < size {
		hi = min(n, (size-at+stride-1)/stride)
	}
	return lo, max(lo, hi)
}

// fold is the transpose of unfold: it gathers the gradients of all windows on each (image, channel).
type fold Conv2D

func (c *fold) Run(lo, hi int) {
	s := &c.size
	for p := lo; p < hi; p++ {
		b, channel := p/s.channels, p%s.channels
		plane := c.dx[p*s.h*s.w:][:s.h*s.w]
		clear(plane)
		for k := range s.kh * s.kw {
			ky, kx := k/s.kw, k%s.kw
			src := c.dwin[(channel*s.kh*s.kw+k)*s.positions():]
			for oy := range s.oh {
				y := oy*c.StrideH - c.PadH + ky
				if y < 0 || y >= s.h {
					continue
				}
				foldRow(plane[y*s.w:(y+1)*s.w], src[(b*s.oh+oy)*s.ow:][:s.ow], kx-c.PadW, c.StrideW)
			}
		}
	}
}

func foldRow(dst, src []float32, at, stride int) {
	lo, hi := inside(len(src), len(dst), at, stride)
	for i := lo; i < hi; i++ {
		dst[at+i*stride] += src[i]
	}
}

// activate brings (image, channel) rows from the product's order to the output's, through GELU if there is one.
type activate Conv2D

func (c *activate) Run(lo, hi int) {
	for i := lo; i < hi; i++ {
		out, pre := c.rows(i, c.out, c.pre)
		if c.GELU {
			kernel.GELU(out, pre)
		} else {
			copy(out, pre)
		}
	}
}

// rows are the elements of (image, channel) i in a tensor of the output's shape and in a matrix of the product's.
func (c *activate) rows(i int, tensor, matrix []float32) (t, m []float32) {
	s := &c.size
	b, o := i/s.out, i%s.out
	return tensor[i*s.pixels():][:s.pixels()], matrix[o*s.positions()+b*s.pixels():][:s.pixels()]
}

// deactivate is the gradient of activate.
type deactivate Conv2D

func (c *deactivate) Run(lo, hi int) {
	for i := lo; i < hi; i++ {
		grad, dpre := (*activate)(c).rows(i, c.grad, c.dpre)
		if c.GELU {
			_, pre := (*activate)(c).rows(i, c.grad, c.pre)
			kernel.GELUGrad(dpre, pre, grad)
		} else {
			copy(dpre, grad)
		}
	}
}

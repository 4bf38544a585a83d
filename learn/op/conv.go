package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Conv2D is a 2-D convolution (cross-correlation, as in PyTorch) plus bias, with GELU on top if wanted. Inputs: x
// [B, H, W, C], weight [O, C, KH, KW], bias [O]. Output: [B, H', W', O] with H' = (H + 2*PadH - KH)/StrideH + 1. A series is
// an image of height 1 with KH = 1.
//
// Unlike PyTorch's, pictures have their channels last, because then a row of a window is contiguous. The windows of all
// images are unfolded into one matrix, with a column of ones for the bias, so that the convolution is one matrix product:
// [B*H'*W', KH*KW*C + 1] x [KH*KW*C + 1, O].
type Conv2D struct {
	StrideH, StrideW int // 0 means 1
	PadH, PadW       int // zeros on each side
	GELU             bool

	size          convSize
	x, out        []float32 // what the tasks of Do work on
	grad, dx      []float32
	windows, dwin []float32 // [B*H'*W', KH*KW*C + 1] of the last Forward, ending in ones, and its gradient
	slope, dpre   []float32 // [B*H'*W', O]: of GELU, and the gradient before it
	rows          []float32 // the weight as [O, KH*KW*C]
	columns       []float32 // the weight as [KH*KW*C + 1, O], ending in the bias
	dcolumns      []float32
}

type convSize struct {
	batch, channels, h, w int
	out, kh, kw           int
	oh, ow                int
}

func (s *convSize) window() int    { return s.kh * s.kw * s.channels }
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
		return nil, fmt.Errorf("want x [B, H, W, C], weight [O, C, KH, KW] and bias [O], got %v", in)
	}
	x, k := in[0], in[1]
	if err := want(in[1:], []string{"weight", "bias"}, tensor.Shape{-1, x[3], -1, -1}, tensor.Shape{k[0]}); err != nil {
		return nil, err
	}
	h, w := x[1]+2*c.PadH-k[2], x[2]+2*c.PadW-k[3]
	if h < 0 || w < 0 {
		return nil, fmt.Errorf("a kernel of %d x %d does not fit in an image of %d x %d with padding %d, %d", k[2], k[3], x[1], x[2], c.PadH, c.PadW)
	}
	c.size = convSize{
		batch: x[0], channels: x[3], h: x[1], w: x[2], out: k[0], kh: k[2], kw: k[3],
		oh: h/c.StrideH + 1, ow: w/c.StrideW + 1,
	}
	return tensor.Shape{x[0], c.size.oh, c.size.ow, k[0]}, nil
}

// Forward implements Func.
func (c *Conv2D) Forward(out []float32, in [][]float32) {
	s := &c.size
	n, k := s.positions(), s.window()
	if len(c.windows) < n*(k+1) {
		c.windows = make([]float32, n*(k+1))
		for i := k; i < len(c.windows); i += k + 1 {
			c.windows[i] = 1
		}
	}
	sized(&c.slope, n*s.out)
	c.turn(in[1], in[2])
	c.x, c.out = in[0], out
	kernel.Do(s.batch*s.oh, c.grain(), (*convolve)(c))
	c.x, c.out = nil, nil
}

// grain is how many lines of the output a thread takes at a time.
func (c *Conv2D) grain() int { return 1 + convWork/(c.size.ow*c.size.window()*c.size.out) }

// convWork is the products of a task that is worth handing to another thread.
const convWork = 1 << 19

// turn brings the weight [O, C, KH*KW] to the order of the windows.
func (c *Conv2D) turn(weight, bias []float32) {
	s := &c.size
	k, area := s.window(), s.kh*s.kw
	rows, columns := sized(&c.rows, len(weight)), sized(&c.columns, len(weight)+len(bias))
	copy(columns[len(weight):], bias)
	for o := range s.out {
		for ch := range s.channels {
			for p, v := range weight[(o*s.channels+ch)*area:][:area] {
				at := p*s.channels + ch
				rows[o*k+at], columns[at*s.out+o] = v, v
			}
		}
	}
}

// turnBack brings the gradient of columns to the order of the weight.
func (c *Conv2D) turnBack(dweight []float32) {
	s := &c.size
	area := s.kh * s.kw
	for o := range s.out {
		for ch := range s.channels {
			d := dweight[(o*s.channels+ch)*area:][:area]
			for p := range d {
				d[p] = c.dcolumns[(p*s.channels+ch)*s.out+o]
			}
		}
	}
}

// Backward implements Func.
func (c *Conv2D) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	s := &c.size
	n, k := s.positions(), s.window()
	dpre := grad
	if c.GELU {
		dpre = sized(&c.dpre, n*s.out)
		kernel.Mul(dpre, c.slope[:n*s.out], grad)
	}
	if dw := grads[1]; dw != nil {
		dcolumns := sized(&c.dcolumns, (k+1)*s.out)
		kernel.Gemm(true, false, k+1, s.out, n, 1, c.windows, k+1, dpre, s.out, 0, dcolumns, s.out)
		c.turnBack(dw)
		if db := grads[2]; db != nil {
			copy(db, dcolumns[k*s.out:])
		}
	} else if db := grads[2]; db != nil {
		sumRows(db, dpre)
	}
	if dx := grads[0]; dx != nil {
		sized(&c.dwin, n*k)
		c.grad, c.dx = dpre, dx
		kernel.Do(s.batch, 1+c.grain()/s.oh, (*fold)(c))
		c.grad, c.dx = nil, nil
	}
}

// convolve computes lines of the output, numbered through all images.
type convolve Conv2D

func (c *convolve) Run(lo, hi int) {
	s := &c.size
	k := s.window()
	for l := lo; l < hi; l++ {
		c.unfold(c.windows[l*s.ow*(k+1):][:s.ow*(k+1)], l/s.oh, l%s.oh)
	}
	from, to := lo*s.ow, hi*s.ow
	out := c.out[from*s.out : to*s.out]
	pre := out
	if c.GELU {
		pre = c.slope[from*s.out : to*s.out]
	}
	kernel.Gemm(false, false, to-from, s.out, k+1, 1, c.windows[from*(k+1):], k+1, c.columns, s.out, 0, pre, s.out)
	if c.GELU {
		kernel.GELUSlope(out, pre, pre)
	}
}

// unfold writes the windows of one line of the output: for each position KH rows of KW*C elements.
func (c *convolve) unfold(windows []float32, image, oy int) {
	s := &c.size
	line, row, step := s.w*s.channels, s.kw*s.channels, s.window()+1
	for ky := range s.kh {
		y := oy*c.StrideH - c.PadH + ky
		if y < 0 || y >= s.h {
			for at := ky * row; at < len(windows); at += step {
				clear(windows[at:][:row])
			}
			continue
		}
		src := c.x[(image*s.h+y)*line:][:line]
		from := -c.PadW * s.channels
		for at := ky * row; at < len(windows); at += step {
			dst := windows[at:][:row]
			switch {
			case from >= 0 && from+row <= line && row > 8:
				copy(dst, src[from:])
			case from >= 0 && from+row <= line: // too short to call for
				for i := range dst {
					dst[i] = src[from+i]
				}
			default:
				clear(dst)
				if lo, hi := inside(from, row, line); lo < hi {
					copy(dst[lo:hi], src[from+lo:])
				}
			}
			from += c.StrideW * s.channels
		}
	}
}

// inside gives the part of a stretch of n elements that begins at from and lies within [0, size), or an empty one.
func inside(from, n, size int) (lo, hi int) {
	lo, hi = min(max(0, -from), n), min(n, size-from)
	return lo, max(lo, hi)
}

// fold gathers the gradients of all windows on an image: the transpose of unfold.
type fold Conv2D

func (c *fold) Run(lo, hi int) {
	s := &c.size
	k, pixels := s.window(), s.pixels()
	line, row := s.w*s.channels, s.kw*s.channels
	dwin := c.dwin[lo*pixels*k : hi*pixels*k]
	kernel.Gemm(false, false, (hi-lo)*pixels, k, s.out, 1, c.grad[lo*pixels*s.out:], s.out, c.rows, k, 0, dwin, k)
	for image := lo; image < hi; image++ {
		plane := c.dx[image*s.h*line:][:s.h*line]
		clear(plane)
		for oy := range s.oh {
			windows := c.dwin[(image*s.oh+oy)*s.ow*k:][:s.ow*k]
			for ky := range s.kh {
				y := oy*c.StrideH - c.PadH + ky
				if y < 0 || y >= s.h {
					continue
				}
				dst := plane[y*line:][:line]
				from := -c.PadW * s.channels
				for at := ky * row; at < len(windows); at += k {
					if lo, hi := inside(from, row, line); lo < hi {
						kernel.Add(windows[at+lo:at+hi], dst[from+lo:])
					}
					from += c.StrideW * s.channels
				}
			}
		}
	}
}

package op

import (
	"fmt"

	"gorgonia.org/tensor"
)

// Embed assembles the input of a decoder: every row is its soft prompts, then its token embeddings, and the learned
// position embedding is added to each. Inputs: wte [vocab, dim], wpe [positions, dim] and, if Prompt > 0, the soft
// prompts [n, Prompt*dim]. Output: [Rows*(Prompt+Slots), dim].
type Embed struct {
	Rows, Slots, Prompt int

	// IDs [Rows*Slots] are the token ids; a negative one is padding and adds nothing to the position.
	IDs []int32
	// From [Rows] names the row of soft prompts that a row begins with: several sequences may continue one prompt.
	From []int32
	// Offset is the position of the first element of a row.
	Offset int

	dim int
}

func (e *Embed) String() string { return "embedding" }

// Shape implements Func.
func (e *Embed) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) < 2 || len(in[0]) != 2 {
		return nil, fmt.Errorf("want wte, wpe and soft prompts, got %v", in)
	}
	e.dim = in[0][1]
	shapes := []tensor.Shape{{-1, e.dim}, {-1, e.dim}}
	if e.Prompt > 0 {
		shapes = append(shapes, tensor.Shape{-1, e.Prompt * e.dim})
	}
	if err := want(in, []string{"wte", "wpe", "soft prompts"}, shapes...); err != nil {
		return nil, err
	}
	steps := e.Prompt + e.Slots
	if in[1][0] < steps {
		return nil, fmt.Errorf("%d positions needed, the model has %d", steps, in[1][0])
	}
	return tensor.Shape{e.Rows * steps, e.dim}, nil
}

// Forward implements Func.
func (e *Embed) Forward(out []float32, in [][]float32) {
	wte, wpe := in[0], in[1]
	e.dim = len(out) / (e.Rows * (e.Prompt + e.Slots))
	e.each(func(at, pos, prompt, id int) {
		o := out[at : at+e.dim]
		copy(o, wpe[pos*e.dim:])
		switch {
		case prompt >= 0:
			addInto(o, in[2][prompt:prompt+e.dim])
		case id >= 0:
			addInto(o, wte[id*e.dim:(id+1)*e.dim])
		}
	})
}

// Backward implements Func.
func (e *Embed) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	for _, g := range grads {
		clear(g)
	}
	e.each(func(at, pos, prompt, id int) {
		g := grad[at : at+e.dim]
		if grads[1] != nil {
			addInto(grads[1][pos*e.dim:(pos+1)*e.dim], g)
		}
		switch {
		case prompt >= 0 && grads[2] != nil:
			addInto(grads[2][prompt:prompt+e.dim], g)
		case prompt < 0 && id >= 0 && grads[0] != nil:
			addInto(grads[0][id*e.dim:(id+1)*e.dim], g)
		}
	})
}

// each visits the positions in order: their offset in the output, position, offset in the soft prompts or -1, token id.
func (e *Embed) each(visit func(at, pos, prompt, id int)) {
	at := 0
	for r := range e.Rows {
		for p := range e.Prompt {
			visit(at, e.Offset+p, (int(e.From[r])*e.Prompt+p)*e.dim, -1)
			at += e.dim
		}
		for s := range e.Slots {
			visit(at, e.Offset+e.Prompt+s, -1, int(e.IDs[r*e.Slots+s]))
			at += e.dim
		}
	}
}

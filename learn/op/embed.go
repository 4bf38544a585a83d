package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Embed assembles the input of a decoder: every row is its soft prompts, then its token embeddings, and unless Rotary a
// learned position embedding is added to each. Inputs: the token table [vocab, dim], unless Rotary the position table
// [positions, dim] and, if Prompt > 0, the soft prompts [n, Prompt*dim]. Output: [Rows*(Prompt+Slots), dim].
type Embed struct {
	Rows, Slots, Prompt int
	// Rotary says that there is no position table, because the blocks tell positions apart by Rope.
	Rotary bool

	// Tokens and Positions, if not nil, are the tables; the inputs are then not read.
	Tokens, Positions *kernel.Frozen

	// Sequences, if not nil, has the positions of every row that are wanted, soft prompts included. The rows of the output lie
	// one after another without gaps.
	Sequences *Sequences

	// IDs [Rows*Slots] are the token ids; a negative one is padding and adds nothing to the position.
	IDs []int32
	// From [Rows] names the row of soft prompts that a row begins with: several sequences may continue one prompt.
	From []int32
	// Offset is the position of the first element of a row. Rope sees distances alone and needs none.
	Offset int

	dim int
	row []float32 // of a table
}

func (e *Embed) String() string { return "embedding" }

// Shape implements Func.
func (e *Embed) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) < 1 || len(in[0]) != 2 {
		return nil, fmt.Errorf("want a token table first, got %v", in)
	}
	e.dim = in[0][1]
	names, shapes := []string{"tokens"}, []tensor.Shape{{-1, e.dim}}
	if !e.Rotary {
		names, shapes = append(names, "positions"), append(shapes, tensor.Shape{-1, e.dim})
	}
	if e.Prompt > 0 {
		names, shapes = append(names, "soft prompts"), append(shapes, tensor.Shape{-1, e.Prompt * e.dim})
	}
	if err := want(in, names, shapes...); err != nil {
		return nil, err
	}
	steps := e.Prompt + e.Slots
	if !e.Rotary && in[1][0] < steps {
		return nil, fmt.Errorf("%d positions needed, the model has %d", steps, in[1][0])
	}
	return tensor.Shape{e.Rows * steps, e.dim}, nil
}

// take gives the tables and prompts, or their gradients; nil where there is none.
func (e *Embed) take(in [][]float32) (tokens, positions, prompts []float32) {
	tokens, in = in[0], in[1:]
	if !e.Rotary {
		positions, in = in[0], in[1:]
	}
	if e.Prompt > 0 {
		prompts = in[0]
	}
	return tokens, positions, prompts
}

// Forward implements Func.
func (e *Embed) Forward(out []float32, in [][]float32) {
	tokens, positions, prompts := e.take(in)
	e.dim = len(out) / (e.Rows * (e.Prompt + e.Slots))
	e.each(func(at, pos, prompt, id int) {
		o := out[at : at+e.dim]
		if e.Rotary {
			clear(o)
		} else {
			copy(o, e.lookUp(positions, e.Positions, pos))
		}
		switch {
		case prompt >= 0:
			addInto(o, prompts[prompt:prompt+e.dim])
		case id >= 0:
			addInto(o, e.lookUp(tokens, e.Tokens, id))
		}
	})
}

// lookUp gives row i of a table, until the next call.
func (e *Embed) lookUp(table []float32, frozen *kernel.Frozen, i int) []float32 {
	if frozen == nil {
		return table[i*e.dim:][:e.dim]
	}
	row := sized(&e.row, e.dim)
	frozen.Row(row, i)
	return row
}

// Backward implements Func.
func (e *Embed) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	for _, g := range grads {
		clear(g)
	}
	tokens, positions, prompts := e.take(grads)
	e.each(func(at, pos, prompt, id int) {
		g := grad[at : at+e.dim]
		if positions != nil {
			addInto(positions[pos*e.dim:(pos+1)*e.dim], g)
		}
		switch {
		case prompt >= 0 && prompts != nil:
			addInto(prompts[prompt:prompt+e.dim], g)
		case prompt < 0 && id >= 0 && tokens != nil:
			addInto(tokens[id*e.dim:(id+1)*e.dim], g)
		}
	})
}

// each visits the positions in order: their offset in the output, position, offset in the soft prompts or -1, token id.
func (e *Embed) each(visit func(at, pos, prompt, id int)) {
	at := 0
	for r := range e.Rows {
		prompt, slots := e.Prompt, e.Slots
		if e.Sequences != nil {
			prompt = min(e.Prompt, e.Sequences.Lengths[r])
			slots = e.Sequences.Lengths[r] - prompt
		}
		for p := range prompt {
			visit(at, e.Offset+p, (int(e.From[r])*e.Prompt+p)*e.dim, -1)
			at += e.dim
		}
		for s := range slots {
			visit(at, e.Offset+e.Prompt+s, -1, int(e.IDs[r*e.Slots+s]))
			at += e.dim
		}
	}
}

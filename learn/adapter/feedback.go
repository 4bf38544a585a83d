package adapter

import "fmt"

// Minus gives c - from, value by value in float32: what a lossy codec had better send to those who have from.
func (c Component) Minus(from Component) (Component, error) {
	return c.with(from, func(x, y float32) float32 { return x - y })
}

// Plus gives c + difference, value by value in float32.
func (c Component) Plus(difference Component) (Component, error) {
	return c.with(difference, func(x, y float32) float32 { return x + y })
}

func (c Component) with(d Component, f func(x, y float32) float32) (Component, error) {
	if err := SameStructure(c, d); err != nil {
		return Component{}, err
	}
	out := c.Clone()
	for i, t := range out.Tensors {
		for j, y := range d.Tensors[i].Data {
			t.Data[j] = f(t.Data[j], y)
		}
	}
	return out, nil
}

// Feedback keeps what a lossy codec has lost of one component, and adds it to what is sent next, so that everything arrives in the end,
// but for the rounding of one float32 sum a round (error feedback, Karimireddy et al., ICML 2019). It is state of the sender: keep Lost over a restart. The zero Feedback has lost
// nothing.
type Feedback struct {
	lost Component // no tensors: nothing
}

// NewFeedback goes on from an earlier Lost.
func NewFeedback(lost Component) *Feedback { return &Feedback{lost: lost.Clone()} }

// Lost is what has not been sent yet, as a component of the same structure; without tensors before the first Encode.
func (f *Feedback) Lost() Component { return f.lost.Clone() }

// Encode sends c and what was lost before, and keeps what is lost by it. arrives is what the blob decodes to. On an error nothing has
// changed; a component of another structure than the one before is such an error.
func (f *Feedback) Encode(codec Codec, c Component) (blob []byte, arrives Component, err error) {
	whole := c
	if len(f.lost.Tensors) > 0 {
		if whole, err = c.Plus(f.lost); err != nil {
			return nil, Component{}, fmt.Errorf("adding what was lost before: %w", err)
		}
	}
	if blob, err = codec.Encode(whole); err != nil {
		return nil, Component{}, err
	}
	if arrives, err = Decode(codec.Name(), blob, whole.Params()); err != nil {
		return nil, Component{}, err
	}
	lost, err := whole.Minus(arrives)
	if err != nil {
		return nil, Component{}, err
	}
	f.lost = lost
	return blob, arrives, nil
}

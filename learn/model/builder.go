package model

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/op"
)

// builder puts a model's parts into one graph. The first error sticks and is returned by finish.
type builder struct {
	g       *op.Graph
	trained map[string]*parameter
	tensors map[string]adapter.Tensor // frozen
	weights frozen
	train   bool // trained tensors get gradients, dropout is on
	seed    *uint64

	nodes  map[string]*gorgonia.Node
	params []*parameter // with gradients, in the order of first use
	grads  [][]float32  // theirs, rewritten by every run
	noises uint64
	err    error
}

func newBuilder(trained map[string]*parameter, tensors map[string]adapter.Tensor, weights frozen, train bool) *builder {
	return &builder{
		g: op.NewGraph(), trained: trained, tensors: tensors, weights: weights, train: train,
		seed: new(uint64), nodes: make(map[string]*gorgonia.Node),
	}
}

// tensor is the node of a trained or frozen tensor, by name.
func (b *builder) tensor(name string) *gorgonia.Node {
	if n, ok := b.nodes[name]; ok {
		return n
	}
	var n *gorgonia.Node
	if p, ok := b.trained[name]; !ok {
		t := b.tensors[name]
		n = b.g.Input(name, t.Shape, t.Data)
	} else if b.train {
		n = b.g.Param(name, p.Shape, p.Data)
		b.params = append(b.params, p)
	} else {
		n = b.g.Input(name, p.Shape, p.Data)
	}
	b.nodes[name] = n
	return n
}

// input is data that the caller rewrites between runs.
func (b *builder) input(name string, shape ...int) (*gorgonia.Node, []float32) {
	data := make([]float32, tensor.Shape(shape).TotalSize())
	return b.g.Input(name, shape, data), data
}

func (b *builder) apply(f op.Func, in ...*gorgonia.Node) *gorgonia.Node {
	if b.err != nil {
		return nil
	}
	n, err := b.g.Apply(f, in...)
	b.err = err
	return n
}

// noise numbers the dropouts of the graph in the order of building.
func (b *builder) noise(rate float64) op.Noise {
	b.noises++
	if !b.train {
		return op.Noise{}
	}
	return op.Noise{Rate: rate, Seed: b.seed, Index: b.noises}
}

// affine is x W + b of the tensors name.weight and name.bias.
func (b *builder) affine(name string, x *gorgonia.Node) *gorgonia.Node {
	return b.apply(&op.Affine{}, x, b.tensor(name+".weight"), b.tensor(name+".bias"))
}

func (b *builder) layerNorm(name string, eps float64, x *gorgonia.Node) *gorgonia.Node {
	return b.apply(&op.LayerNorm{Eps: eps}, x, b.tensor(name+".weight"), b.tensor(name+".bias"))
}

// finish differentiates cost, unless nil, and makes the graph ready to run.
func (b *builder) finish(cost *gorgonia.Node) error {
	if b.err != nil {
		return b.err
	}
	if cost != nil {
		if err := b.g.Differentiate(cost); err != nil {
			return err
		}
	}
	if err := b.g.Compile(); err != nil {
		return err
	}
	if cost != nil {
		for _, p := range b.params {
			b.grads = append(b.grads, b.g.Grad(b.nodes[p.Name]))
		}
	}
	return nil
}

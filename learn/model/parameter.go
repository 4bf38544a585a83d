package model

import (
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/mlecs/mlecs/learn/adapter"
)

// parameter is a trained tensor with the state of its optimiser. Its data are one memory for the life of the model, which
// every graph reads.
type parameter struct {
	adapter.Tensor
	mean, square []float32 // moments of AdamW
	steps        int       // updates so far, for AdamW's bias correction
}

// initial fills a tensor. fan is the number of inputs of a unit.
type initial func(r *rand.Rand, data []float32, fan int)

func zeros(*rand.Rand, []float32, int) {}

func ones(_ *rand.Rand, data []float32, _ int) {
	for i := range data {
		data[i] = 1
	}
}

// uniform is in +-1/sqrt(fan), PyTorch's default for Linear and PEFT's for LoRA's A.
func uniform(r *rand.Rand, data []float32, fan int) {
	bound := 1 / math.Sqrt(float64(fan))
	for i := range data {
		data[i] = float32((2*r.Float64() - 1) * bound)
	}
}

// normal has the given standard deviation.
func normal(std float64) initial {
	return func(r *rand.Rand, data []float32, _ int) {
		for i := range data {
			data[i] = float32(r.NormFloat64() * std)
		}
	}
}

// newParameter draws the values from a stream of the seed and the name alone, so that nodes with other modalities or
// another base begin with the same encoders.
func newParameter(seed uint64, name string, fill initial, fan int, shape ...int) *parameter {
	size := 1
	for _, d := range shape {
		size *= d
	}
	p := &parameter{
		Tensor: adapter.Tensor{Name: name, Shape: shape, Data: make([]float32, size)},
		mean:   make([]float32, size),
		square: make([]float32, size),
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	fill(rand.New(rand.NewPCG(seed, h.Sum64())), p.Data, fan)
	return p
}

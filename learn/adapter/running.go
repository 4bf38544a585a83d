package adapter

import (
	"errors"
	"fmt"
)

// RunningMean is WeightedMean of components that come one after another, so that memory holds the sums and one component, whatever
// their number. The order of Add is the order of the sum. The zero value has no components.
type RunningMean struct {
	like    Component // the first one's structure, and room for the mean
	sums    [][]float64
	weights []float64
}

// Add takes in a component, which it does not keep. After an error the mean is what it was.
func (m *RunningMean) Add(c Component, weight float64) error {
	if len(m.weights) == 0 {
		m.like = Component{Name: c.Name, Signature: c.Signature, Tensors: make([]Tensor, len(c.Tensors))}
		m.sums = make([][]float64, len(c.Tensors))
		for t, x := range c.Tensors {
			m.like.Tensors[t] = Tensor{Name: x.Name, Shape: x.Shape, Data: make([]float32, len(x.Data))}
			m.sums[t] = make([]float64, len(x.Data))
		}
	}
	if err := SameStructure(m.like, c); err != nil {
		return fmt.Errorf("averaging, input %d: %w", len(m.weights), err)
	}
	for t, x := range c.Tensors {
		addWeighted(m.sums[t], x.Data, weight)
	}
	m.weights = append(m.weights, weight)
	return nil
}

// addWeighted is sums += w x. The explicit conversion forbids the compiler to fuse the product and the sum.
func addWeighted(sums []float64, x []float32, w float64) {
	x = x[:len(sums)]
	for j, v := range x {
		sums[j] += float64(w * float64(v))
	}
}

// Mean is the mean so far.
func (m *RunningMean) Mean() (Component, error) {
	if len(m.weights) == 0 {
		return Component{}, errors.New("averaging: no components")
	}
	total, err := sumWeights(m.weights)
	if err != nil {
		return Component{}, fmt.Errorf("averaging component %q: %w", m.like.Name, err)
	}
	mean := m.like.Clone()
	for t, sums := range m.sums {
		for j, s := range sums {
			mean.Tensors[t].Data[j] = float32(s / total)
		}
	}
	return mean, nil
}

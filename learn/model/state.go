package model

import (
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/mlecs/mlecs/learn/adapter"
)

// Tensor names of the optimiser's state.
const (
	meanPrefix   = "adamw.mean/"
	squarePrefix = "adamw.square/"
	stepsName    = "adamw.steps" // [parameters], in the model's order
)

// WriteState writes everything that a restart needs, as safetensors: the trained tensors, the optimiser's moments and its
// step counts. The base is not in it.
func (m *Model) WriteState(w io.Writer) error {
	if err := adapter.WriteTensors(w, m.state(), map[string]string{metaFormat: stateFormat}); err != nil {
		return fmt.Errorf("write the model's state: %w", err)
	}
	return nil
}

const stateFormat = "mlecs-state-1"

func (m *Model) state() []adapter.Tensor {
	steps := adapter.Tensor{Name: stepsName, Shape: []int{len(m.params)}}
	all := make([]adapter.Tensor, 0, 3*len(m.params)+1)
	for _, p := range m.params {
		all = append(all, p.Tensor,
			adapter.Tensor{Name: meanPrefix + p.Name, Shape: p.Shape, Data: p.mean},
			adapter.Tensor{Name: squarePrefix + p.Name, Shape: p.Shape, Data: p.square})
		steps.Data = append(steps.Data, float32(p.steps))
	}
	return append(all, steps)
}

// ReadState takes in what WriteState wrote from a model of the same structure; training then continues to the bit. On an error
// the model keeps what it had.
func (m *Model) ReadState(r io.Reader) error {
	_, trainable := m.Params()
	limit := 4*(3*trainable+int64(len(m.params))) + 1<<20
	tensors, meta, err := adapter.ReadTensors(r, limit)
	if err != nil {
		return fmt.Errorf("read the model's state: %w", err)
	}
	if meta[metaFormat] != stateFormat {
		return fmt.Errorf("read the model's state: the file's format is %q, want %q", meta[metaFormat], stateFormat)
	}
	read := make(map[string]adapter.Tensor, len(tensors))
	for _, t := range tensors {
		read[t.Name] = t
	}
	own := m.state()
	if len(read) != len(own) {
		return fmt.Errorf("read the model's state: %d tensors, the model has %d: it is of another structure", len(read), len(own))
	}
	for _, t := range own {
		got, ok := read[t.Name]
		if !ok {
			return fmt.Errorf("read the model's state: tensor %s %v is missing: it is of another structure", t.Name, t.Shape)
		}
		if !slices.Equal(got.Shape, t.Shape) {
			return fmt.Errorf("read the model's state: tensor %s has shape %v, the model's %v", t.Name, got.Shape, t.Shape)
		}
		for i, v := range got.Data {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				return fmt.Errorf("read the model's state: tensor %s: value %d is %v", t.Name, i, v)
			}
		}
	}
	for i, v := range read[stepsName].Data {
		if v < 0 || v > 1<<24 || v != float32(int(v)) {
			return fmt.Errorf("read the model's state: tensor %s: value %d is %v, no count of steps", stepsName, i, v)
		}
	}
	for i, p := range m.params {
		copy(p.Data, read[p.Name].Data)
		copy(p.mean, read[meanPrefix+p.Name].Data)
		copy(p.square, read[squarePrefix+p.Name].Data)
		p.steps = int(read[stepsName].Data[i])
	}
	return nil
}

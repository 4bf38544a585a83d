// Package adapter holds what nodes share: named components of tensors, their safetensors encoding, and the aggregation rules.
package adapter

import "io"

// Tensor is a named dense float32 tensor, row-major.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// Component is one named part of a delta: "lora", "encoder/<modality>", "connector/<modality+modality>".
type Component struct {
	Name      string
	Signature string // of names and shapes: only equal signatures are averaged
	Tensors   []Tensor
}

// Signature of tensors: a short hex digest of sorted names, shapes and extra (e.g. the base CID and LoRA alpha).
func Signature(tensors []Tensor, extra ...string) string { panic("stub") }

// Params counts elements.
func (c Component) Params() int64 { panic("stub") }

// Write encodes c as safetensors (HuggingFace format; metadata: name, signature). Read is its inverse with limits on header and size.
func Write(w io.Writer, c Component) error             { panic("stub") }
func Read(r io.Reader, limit int64) (Component, error) { panic("stub") }

// WriteTensors and ReadTensors are the safetensors file itself, with string metadata; used for every blob of tensors.
func WriteTensors(w io.Writer, tensors []Tensor, metadata map[string]string) error { panic("stub") }
func ReadTensors(r io.Reader, limit int64) ([]Tensor, map[string]string, error)    { panic("stub") }

// WeightedMean averages components of equal signature, in the order given, in float64; weights need not sum to 1.
func WeightedMean(cs []Component, weights []float64) (Component, error) { panic("stub") }

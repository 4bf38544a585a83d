package adapter

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Tensor is a named dense float32 tensor, row-major. A scalar has an empty shape.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// Component is one named part of a delta: "lora", "encoder/<modality>", "connector/<modality>", "connector".
type Component struct {
	Name      string
	Signature string // of names and shapes: only equal signatures are averaged
	Tensors   []Tensor
}

// ErrStructure is wrapped by errors about components whose tensors differ in name or shape where they must be equal.
var ErrStructure = errors.New("structures differ")

// Kind is the part of a component's name before the first slash: "lora", "encoder" or "connector". Share policies name kinds.
func Kind(name string) string {
	kind, _, _ := strings.Cut(name, "/")
	return kind
}

// Signature is a short hex digest of the tensors' sorted names and shapes, and of extra in the order given (what else must be equal
// for a mean to make sense, e.g. the base model and LoRA's alpha). Values do not enter it.
func Signature(tensors []Tensor, extra ...string) string {
	lines := make([]string, len(tensors))
	for i, t := range tensors {
		lines[i] = fmt.Sprintf("tensor %q %v\n", t.Name, t.Shape)
	}
	slices.Sort(lines)
	for _, x := range extra {
		lines = append(lines, fmt.Sprintf("extra %q\n", x))
	}
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return hex.EncodeToString(sum[:12])
}

// Params counts elements.
func (c Component) Params() int64 {
	var n int64
	for _, t := range c.Tensors {
		n += int64(len(t.Data))
	}
	return n
}

// Clone is a deep copy.
func (c Component) Clone() Component {
	c.Tensors = slices.Clone(c.Tensors)
	for i, t := range c.Tensors {
		c.Tensors[i].Shape = slices.Clone(t.Shape)
		c.Tensors[i].Data = slices.Clone(t.Data)
	}
	return c
}

// Check tells what is wrong with a component from outside: no name or signature, a shape that its data does not fill, or values that
// are not finite (one NaN in a mean would reach every node).
func (c Component) Check() error {
	if c.Name == "" || c.Signature == "" {
		return fmt.Errorf("component %q: name or signature is empty", c.Name)
	}
	for _, t := range c.Tensors {
		n, err := elements(t.Shape)
		if err != nil || n != int64(len(t.Data)) {
			return fmt.Errorf("component %q: tensor %q has %d values for shape %v", c.Name, t.Name, len(t.Data), t.Shape)
		}
	}
	var broken atomic.Bool
	c.eachRange(func(t, from, to int) {
		if !kernel.AllFinite(c.Tensors[t].Data[from:to]) {
			broken.Store(true)
		}
	})
	if !broken.Load() {
		return nil
	}
	for _, t := range c.Tensors {
		for i, v := range t.Data {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				return fmt.Errorf("component %q: tensor %q: value %d is %v", c.Name, t.Name, i, v)
			}
		}
	}
	return nil
}

// SameStructure returns nil if a and b have equal name, signature, and names and shapes of tensors in the same order, and otherwise an
// error that wraps ErrStructure and names the first difference. The signature alone is only what a peer claims.
func SameStructure(a, b Component) error {
	if err := sameNames(a, b); err != nil {
		return err
	}
	for i, t := range a.Tensors {
		if n := len(b.Tensors[i].Data); n != len(t.Data) {
			return fmt.Errorf("component %q: tensor %q has %d values, not %d: %w", a.Name, t.Name, n, len(t.Data), ErrStructure)
		}
	}
	return nil
}

// sameNames is SameStructure but for the numbers of values.
func sameNames(a, b Component) error {
	if a.Name != b.Name {
		return fmt.Errorf("components %q and %q: %w", a.Name, b.Name, ErrStructure)
	}
	if a.Signature != b.Signature {
		return fmt.Errorf("component %q: signature %s is not %s: %w", a.Name, b.Signature, a.Signature, ErrStructure)
	}
	if len(a.Tensors) != len(b.Tensors) {
		return fmt.Errorf("component %q: %d tensors, not %d: %w", a.Name, len(b.Tensors), len(a.Tensors), ErrStructure)
	}
	for i, t := range a.Tensors {
		u := b.Tensors[i]
		if t.Name != u.Name || !slices.Equal(t.Shape, u.Shape) {
			return fmt.Errorf("component %q: tensor %q %v is not %q %v: %w", a.Name, u.Name, u.Shape, t.Name, t.Shape, ErrStructure)
		}
	}
	return nil
}

// Metadata keys of a component's file.
const (
	metaName      = "mlecs.component"
	metaSignature = "mlecs.signature"
)

// Write encodes c as a safetensors file whose metadata hold its name and signature.
func Write(w io.Writer, c Component) error {
	if err := c.Check(); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if err := WriteTensors(w, c.Tensors, map[string]string{metaName: c.Name, metaSignature: c.Signature}); err != nil {
		return fmt.Errorf("writing component %q: %w", c.Name, err)
	}
	return nil
}

// Read decodes what Write wrote, from at most limit bytes, and checks it. Tensors come in name order.
func Read(r io.Reader, limit int64) (Component, error) {
	tensors, meta, err := ReadTensors(r, limit)
	if err != nil {
		return Component{}, fmt.Errorf("reading component: %w", err)
	}
	c := Component{Name: meta[metaName], Signature: meta[metaSignature], Tensors: tensors}
	if err := c.Check(); err != nil {
		return Component{}, fmt.Errorf("reading: %w", err)
	}
	return c, nil
}

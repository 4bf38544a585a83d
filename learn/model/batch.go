package model

import (
	"errors"
	"fmt"
	"math"
)

// Batch is some rows. Token slices may differ in length; the model pads. Slices that are not nil have one element per row.
type Batch struct {
	// Inputs holds, per modality and row, a flat tensor of Modality.Shape; a nil row means that the modality is missing, and
	// the row is what the others say of it. Modalities that the model does not have are ignored.
	Inputs map[string][][]float32
	Text   [][]int      // text prompt per row; what does not fit the base's positions is cut off at the front
	Target [][]int      // target ids per row, end-of-text included, cut off at the end; nil: no LM loss
	Soft   []SoftTarget // the teacher's answer per row; nil: no soft-target loss. The sequence is its own IDs
	Anchor [][]float32  // super-peer's fused representation per row; nil: no contrastive loss
	Labels []int        // Gram: rows with equal labels >= 0 are not negatives of each other; nil: all others are
}

// SoftTarget is a teacher's answer to one row: its decoded ids and, for each, the teacher's top-k log-probabilities.
type SoftTarget struct {
	IDs    []int       // end-of-text included, if the teacher ended
	TopIDs [][]int     // [len(IDs)][k], distinct
	TopLog [][]float32 // natural log, of the teacher's softmax
}

// ErrBatch is wrapped by errors about a Batch that does not fit the model.
var ErrBatch = errors.New("bad batch")

// rows checks b against the model and counts its rows.
func (m *Model) rows(b Batch) (int, error) {
	n := -1
	count := func(kind, name string, length int, present bool) error {
		if !present {
			return nil
		}
		if n >= 0 && n != length {
			return fmt.Errorf("%w: %s%s has %d rows, want %d", ErrBatch, kind, name, length, n)
		}
		n = length
		return nil
	}
	for _, mod := range m.spec.Modalities {
		x, ok := b.Inputs[mod.Name]
		if err := count("modality ", mod.Name, len(x), ok); err != nil {
			return 0, err
		}
		for i, row := range x {
			if row != nil && len(row) != mod.Size() {
				return 0, fmt.Errorf("%w: row %d of modality %s has %d values, want %d for shape %v", ErrBatch, i, mod.Name, len(row), mod.Size(), mod.Shape)
			}
		}
	}
	for _, part := range [...]struct {
		name    string
		length  int
		present bool
	}{
		{"Text", len(b.Text), b.Text != nil},
		{"Target", len(b.Target), b.Target != nil},
		{"Soft", len(b.Soft), b.Soft != nil},
		{"Anchor", len(b.Anchor), b.Anchor != nil},
		{"Labels", len(b.Labels), b.Labels != nil},
	} {
		if err := count("", part.name, part.length, part.present); err != nil {
			return 0, err
		}
	}
	if n < 1 {
		return 0, fmt.Errorf("%w: no rows", ErrBatch)
	}
	return n, m.checkRows(b)
}

func (m *Model) checkRows(b Batch) error {
	for i, ids := range b.Text {
		if err := m.checkIDs(ids); err != nil {
			return fmt.Errorf("%w: text of row %d: %w", ErrBatch, i, err)
		}
	}
	for i, ids := range b.Target {
		if err := m.checkIDs(ids); err != nil {
			return fmt.Errorf("%w: target of row %d: %w", ErrBatch, i, err)
		}
	}
	for i, s := range b.Soft {
		if err := m.checkSoft(s); err != nil {
			return fmt.Errorf("%w: soft target of row %d: %w", ErrBatch, i, err)
		}
	}
	for i, a := range b.Anchor {
		if len(a) == 0 || len(a) != len(b.Anchor[0]) {
			return fmt.Errorf("%w: anchor of row %d has %d values, that of row 0 has %d", ErrBatch, i, len(a), len(b.Anchor[0]))
		}
	}
	return nil
}

func (m *Model) checkIDs(ids []int) error {
	for i, id := range ids {
		if id < 0 || id >= m.base.Config.Vocab {
			return fmt.Errorf("token %d has id %d, the base has %d", i, id, m.base.Config.Vocab)
		}
	}
	return nil
}

func (m *Model) checkSoft(s SoftTarget) error {
	if len(s.TopIDs) != len(s.IDs) || len(s.TopLog) != len(s.IDs) {
		return fmt.Errorf("%d ids, but %d lists of top ids and %d of log-probabilities", len(s.IDs), len(s.TopIDs), len(s.TopLog))
	}
	if err := m.checkIDs(s.IDs); err != nil {
		return err
	}
	for i, ids := range s.TopIDs {
		if len(ids) == 0 || len(ids) != len(s.TopLog[i]) {
			return fmt.Errorf("token %d has %d top ids and %d log-probabilities", i, len(ids), len(s.TopLog[i]))
		}
		if err := m.checkIDs(ids); err != nil {
			return fmt.Errorf("top ids of token %d: %w", i, err)
		}
		for j, id := range ids {
			for _, other := range ids[:j] {
				if id == other {
					return fmt.Errorf("top ids of token %d: %d appears twice", i, id)
				}
			}
			if v := float64(s.TopLog[i][j]); math.IsNaN(v) || v > 1e-3 {
				return fmt.Errorf("token %d: %v is no log-probability", i, v)
			}
		}
	}
	return nil
}

// padRows is the number of rows of the graph that serves n: exact for small batches, else at most 3 (beyond 32: 15) more,
// so that batches of similar size share a graph. It depends on nothing else, so that a restart repeats every bit.
func padRows(n int) int {
	switch {
	case n <= 4:
		return n
	case n <= 32:
		return (n + 3) / 4 * 4
	}
	return (n + 15) / 16 * 16
}

// padSteps is the number of positions of the graph that serves n, at most limit.
func padSteps(n, limit int) int { return min((n+7)/8*8, limit) }

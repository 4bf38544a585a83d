package method

import (
	"fmt"

	"github.com/mlecs/mlecs/learn/model"
)

// lessons is supervision with an index, from which batches take what belongs to their rows. All rows asked for must be known.
type lessons struct {
	*Supervision
	index map[string]int // row id -> position
}

// learnFrom indexes s; nil if there is none.
func learnFrom(s *Supervision) *lessons {
	if s == nil {
		return nil
	}
	l := &lessons{Supervision: s, index: make(map[string]int, len(s.IDs))}
	for i, id := range s.IDs {
		l.index[id] = i
	}
	return l
}

// known are those of rows that have an answer to learn.
func (l *lessons) known(rows []row) []row {
	var out []row
	for _, r := range rows {
		if i, ok := l.index[r.id]; ok && len(l.Soft[i].IDs) > 0 {
			out = append(out, r)
		}
	}
	return out
}

// soft are the teacher's answers to rows.
func (l *lessons) soft(rows []row) []model.SoftTarget {
	out := make([]model.SoftTarget, len(rows))
	for i, r := range rows {
		out[i] = l.Soft[l.index[r.id]]
	}
	return out
}

// anchors are the teacher's fused representations of rows, cut or filled up with zeros to width; 0: as wide as they are.
func (l *lessons) anchors(rows []row, width int) [][]float32 {
	out := make([][]float32, len(rows))
	for i, r := range rows {
		a := l.Fused[l.index[r.id]]
		if width > 0 && len(a) != width {
			fitted := make([]float32, width)
			copy(fitted, a)
			a = fitted
		}
		out[i] = a
	}
	return out
}

// labels are equal for rows that the teacher answers alike: where targets are unknown, such rows are no negatives of each other.
func (l *lessons) labels(rows []row) []int {
	seen := map[string]int{}
	out := make([]int, len(rows))
	for i, soft := range l.soft(rows) {
		answer := fmt.Sprint(soft.IDs)
		if _, ok := seen[answer]; !ok {
			seen[answer] = len(seen)
		}
		out[i] = seen[answer]
	}
	return out
}

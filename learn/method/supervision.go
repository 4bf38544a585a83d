package method

import (
	"fmt"
	"math"

	"github.com/mlecs/mlecs/learn/model"
)

// Supervision is the cloud's knowledge of the public rows. All slices have one entry a row.
type Supervision struct {
	IDs   []string           // unique
	Fused [][]float32        // fused representation, all of one width
	Soft  []model.SoftTarget // the cloud's own decoded answer and, along it, its top-k log-probabilities
}

// maxTokenID bounds token ids; which ids a vocabulary has only a model can tell.
const maxTokenID = 1<<24 - 1

// check tells what is wrong with s, and gives the width of the fused representations and k.
func (s *Supervision) check() (width, k int, err error) {
	if len(s.Fused) != len(s.IDs) || len(s.Soft) != len(s.IDs) {
		return 0, 0, fmt.Errorf("%d rows, %d fused representations and %d soft targets", len(s.IDs), len(s.Fused), len(s.Soft))
	}
	seen := make(map[string]bool, len(s.IDs))
	width, k = -1, -1
	for i, id := range s.IDs {
		if id == "" || seen[id] {
			return 0, 0, fmt.Errorf("row id %q is empty or occurs twice", id)
		}
		seen[id] = true
		if width < 0 {
			width = len(s.Fused[i])
		}
		if len(s.Fused[i]) != width {
			return 0, 0, fmt.Errorf("row %q: %d fused values where others have %d", id, len(s.Fused[i]), width)
		}
		for _, v := range s.Fused[i] {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				return 0, 0, fmt.Errorf("row %q: a fused value is %v", id, v)
			}
		}
		if k, err = checkSoft(s.Soft[i], k); err != nil {
			return 0, 0, fmt.Errorf("row %q: %w", id, err)
		}
	}
	return max(width, 0), max(k, 0), nil
}

// checkSoft checks one answer; k is that of the answers before it, -1 before the first token.
func checkSoft(soft model.SoftTarget, k int) (int, error) {
	if len(soft.TopIDs) != len(soft.IDs) || len(soft.TopLog) != len(soft.IDs) {
		return k, fmt.Errorf("%d tokens with %d and %d top-k lists", len(soft.IDs), len(soft.TopIDs), len(soft.TopLog))
	}
	for i, id := range soft.IDs {
		if k < 0 {
			k = len(soft.TopIDs[i])
		}
		if len(soft.TopIDs[i]) != k || len(soft.TopLog[i]) != k {
			return k, fmt.Errorf("token %d: %d ids and %d log-probabilities where k is %d", i, len(soft.TopIDs[i]), len(soft.TopLog[i]), k)
		}
		if id < 0 || id > maxTokenID {
			return k, fmt.Errorf("token %d has id %d", i, id)
		}
		for j, top := range soft.TopIDs[i] {
			if top < 0 || top > maxTokenID {
				return k, fmt.Errorf("token %d: alternative %d has id %d", i, j, top)
			}
			if v := soft.TopLog[i][j]; !(v <= 1e-3) || math.IsInf(float64(v), 0) {
				return k, fmt.Errorf("token %d: alternative %d has log-probability %v", i, j, v)
			}
		}
	}
	return k, nil
}

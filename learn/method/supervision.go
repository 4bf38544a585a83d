package method

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// Supervision is the cloud's knowledge of the public rows. All slices have one entry a row.
type Supervision struct {
	IDs   []string           // unique
	Fused [][]float32        // fused representation, all of one width
	Soft  []model.SoftTarget // the cloud's own decoded answer and, along it, its top-k log-probabilities
}

// Tensors and metadata of a supervision file. Integers are stored as float32, exact below 2^24.
const (
	metaRows      = "mlecs.supervision.rows" // JSON array of row ids
	tensorFused   = "fused"                  // [rows, width]
	tensorLengths = "soft.lengths"           // [rows], tokens of each answer
	tensorTokens  = "soft.ids"               // [tokens], answers one after the other
	tensorTopIDs  = "soft.top_ids"           // [tokens, k]
	tensorTopLog  = "soft.top_log"           // [tokens, k]
	maxExact      = 1 << 24
)

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
		if id < 0 || id >= maxExact {
			return k, fmt.Errorf("token %d has id %d", i, id)
		}
		for j, top := range soft.TopIDs[i] {
			if top < 0 || top >= maxExact {
				return k, fmt.Errorf("token %d: alternative %d has id %d", i, j, top)
			}
			if v := soft.TopLog[i][j]; !(v <= 1e-3) || math.IsInf(float64(v), 0) {
				return k, fmt.Errorf("token %d: alternative %d has log-probability %v", i, j, v)
			}
		}
	}
	return k, nil
}

// WriteSupervision writes s as a safetensors file; equal supervision gives equal bytes.
func WriteSupervision(w io.Writer, s *Supervision) error {
	width, k, err := s.check()
	if err != nil {
		return fmt.Errorf("writing supervision: %w", err)
	}
	ids, err := json.Marshal(append([]string{}, s.IDs...))
	if err != nil {
		return fmt.Errorf("writing supervision: %w", err)
	}
	var fused, lengths, tokens, topIDs, topLog []float32
	for i := range s.IDs {
		fused = append(fused, s.Fused[i]...)
		soft := s.Soft[i]
		lengths = append(lengths, float32(len(soft.IDs)))
		for t, id := range soft.IDs {
			tokens = append(tokens, float32(id))
			topLog = append(topLog, soft.TopLog[t]...)
			for _, top := range soft.TopIDs[t] {
				topIDs = append(topIDs, float32(top))
			}
		}
	}
	err = adapter.WriteTensors(w, []adapter.Tensor{
		{Name: tensorFused, Shape: []int{len(s.IDs), width}, Data: fused},
		{Name: tensorLengths, Shape: []int{len(s.IDs)}, Data: lengths},
		{Name: tensorTokens, Shape: []int{len(tokens)}, Data: tokens},
		{Name: tensorTopIDs, Shape: []int{len(tokens), k}, Data: topIDs},
		{Name: tensorTopLog, Shape: []int{len(tokens), k}, Data: topLog},
	}, map[string]string{metaRows: string(ids)})
	if err != nil {
		return fmt.Errorf("writing supervision: %w", err)
	}
	return nil
}

// ReadSupervision reads what WriteSupervision wrote, from at most limit bytes, and checks it. Whether token ids are of a model's
// vocabulary only the model can tell (Absorb does).
func ReadSupervision(r io.Reader, limit int64) (*Supervision, error) {
	tensors, meta, err := adapter.ReadTensors(r, limit)
	if err != nil {
		return nil, fmt.Errorf("reading supervision: %w", err)
	}
	s, err := decodeSupervision(tensors, meta)
	if err == nil {
		_, _, err = s.check()
	}
	if err != nil {
		return nil, fmt.Errorf("reading supervision: %w", err)
	}
	return s, nil
}

func decodeSupervision(tensors []adapter.Tensor, meta map[string]string) (*Supervision, error) {
	byName := map[string]adapter.Tensor{}
	for _, t := range tensors {
		byName[t.Name] = t
	}
	s := &Supervision{}
	if err := json.Unmarshal([]byte(meta[metaRows]), &s.IDs); err != nil {
		return nil, fmt.Errorf("metadata %q: %w", metaRows, err)
	}
	rows := len(s.IDs)
	fused, lengths, tokens := byName[tensorFused], byName[tensorLengths], byName[tensorTokens]
	topIDs, topLog := byName[tensorTopIDs], byName[tensorTopLog]
	if len(fused.Shape) != 2 || fused.Shape[0] != rows || len(lengths.Data) != rows {
		return nil, fmt.Errorf("%d rows, but fused representations of shape %v and %d answers", rows, fused.Shape, len(lengths.Data))
	}
	if len(topIDs.Shape) != 2 || len(topLog.Shape) != 2 || topIDs.Shape[1] != topLog.Shape[1] ||
		topIDs.Shape[0] != len(tokens.Data) || topLog.Shape[0] != len(tokens.Data) {
		return nil, fmt.Errorf("%d tokens, but top-k lists of shapes %v and %v", len(tokens.Data), topIDs.Shape, topLog.Shape)
	}
	width, k := fused.Shape[1], topIDs.Shape[1]
	token := 0
	for i := range rows {
		s.Fused = append(s.Fused, fused.Data[i*width:(i+1)*width:(i+1)*width])
		n, err := exact(lengths.Data[i])
		if err != nil || n > len(tokens.Data)-token {
			return nil, fmt.Errorf("row %q: an answer of %v tokens where %d are left", s.IDs[i], lengths.Data[i], len(tokens.Data)-token)
		}
		soft := model.SoftTarget{}
		for range n {
			id, err := exact(tokens.Data[token])
			if err != nil {
				return nil, fmt.Errorf("row %q: token id: %w", s.IDs[i], err)
			}
			top := make([]int, k)
			for j := range top {
				if top[j], err = exact(topIDs.Data[token*k+j]); err != nil {
					return nil, fmt.Errorf("row %q: alternative: %w", s.IDs[i], err)
				}
			}
			soft.IDs = append(soft.IDs, id)
			soft.TopIDs = append(soft.TopIDs, top)
			soft.TopLog = append(soft.TopLog, topLog.Data[token*k:(token+1)*k:(token+1)*k])
			token++
		}
		s.Soft = append(s.Soft, soft)
	}
	if token != len(tokens.Data) {
		return nil, errors.New("tokens are left after the last answer")
	}
	return s, nil
}

// exact is the integer that v holds.
func exact(v float32) (int, error) {
	if !(v >= 0 && v < maxExact) || v != float32(int(v)) {
		return 0, fmt.Errorf("%v is not an integer below 2^24", v)
	}
	return int(v), nil
}

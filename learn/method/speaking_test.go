package method

import (
	"math"
	"slices"
	"testing"

	"github.com/mlecs/mlecs/learn/model"
)

// answer is a sequence of tokens, each with the probabilities of some.
func answer(ids []int, expect ...map[int]float64) model.SoftTarget {
	s := model.SoftTarget{IDs: ids}
	for _, e := range expect {
		var top []int
		var logs []float32
		for id := range 10 {
			if p, ok := e[id]; ok {
				top, logs = append(top, id), append(logs, float32(math.Log(p)))
			}
		}
		s.TopIDs, s.TopLog = append(s.TopIDs, top), append(s.TopLog, logs)
	}
	return s
}

func TestConsensus(t *testing.T) {
	one := answer([]int{1, 0}, map[int]float64{1: 0.6, 2: 0.4}, map[int]float64{0: 1})
	two := answer([]int{2, 3, 0}, map[int]float64{1: 0.1, 2: 0.9}, map[int]float64{3: 0.5, 4: 0.5}, map[int]float64{0: 0.8, 1: 0.2})
	third := answer([]int{2, 4, 0}, map[int]float64{2: 0.5, 5: 0.5}, map[int]float64{3: 0.1, 4: 0.9}, map[int]float64{0: 1})
	hedge := answer([]int{7, 0}, map[int]float64{7: 0.4, 1: 0.39}, map[int]float64{0: 1})
	for name, c := range map[string]struct {
		answers []model.SoftTarget
		weights []float64
		k       int
		ids     []int
		first   map[int]float64 // probabilities at the first token
	}{
		"one alone":              {[]model.SoftTarget{one}, []float64{3}, 8, []int{1, 0}, map[int]float64{1: 0.6, 2: 0.4}},
		"means, by weights":      {[]model.SoftTarget{one, two}, []float64{1, 3}, 8, []int{2, 3, 0}, map[int]float64{1: 0.225, 2: 0.775}},
		"who disagrees is out":   {[]model.SoftTarget{one, two, third}, []float64{1, 1, 1}, 8, []int{2, 4, 0}, map[int]float64{1: 0.7 / 3, 2: 0.6, 5: 0.5 / 3}},
		"the top k alone":        {[]model.SoftTarget{one, two}, []float64{1, 3}, 1, []int{2, 3, 0}, map[int]float64{2: 0.775}},
		"weight 0 says nothing":  {[]model.SoftTarget{one, two}, []float64{1, 0}, 8, []int{1, 0}, map[int]float64{1: 0.6, 2: 0.4}},
		"only what someone says": {[]model.SoftTarget{hedge, answer([]int{8, 0}, map[int]float64{8: 0.41, 1: 0.4}, map[int]float64{0: 1})}, []float64{1, 1}, 8, []int{8, 0}, map[int]float64{1: 0.395, 7: 0.2, 8: 0.205}},
		"nobody":                 {nil, nil, 8, nil, nil},
	} {
		got := consensus(c.answers, c.weights, c.k)
		if !slices.Equal(got.IDs, c.ids) {
			t.Errorf("%s: %v, want %v", name, got.IDs, c.ids)
			continue
		}
		if c.first == nil {
			continue
		}
		if len(got.TopIDs[0]) != len(c.first) {
			t.Errorf("%s: %d alternatives, want %v", name, len(got.TopIDs[0]), c.first)
		}
		for j, id := range got.TopIDs[0] {
			if p := math.Exp(float64(got.TopLog[0][j])); math.Abs(p-c.first[id]) > 1e-6 {
				t.Errorf("%s: token %d has probability %v, want %v", name, id, p, c.first[id])
			}
			if j > 0 && got.TopLog[0][j] > got.TopLog[0][j-1] {
				t.Errorf("%s: alternatives out of order", name)
			}
		}
	}
}

// CreamFL listens to whom the server's own representation bears out.
func TestContrasted(t *testing.T) {
	server := &Supervision{IDs: []string{"x", "y"}, Fused: [][]float32{{1, 0}, {0, 1}}}
	right := &Supervision{IDs: server.IDs, Fused: [][]float32{{1, 0}, {0, 1}}}
	wrong := &Supervision{IDs: server.IDs, Fused: [][]float32{{0, 1}, {1, 0}}}
	got := contrasted([]*Supervision{right, wrong}, server)
	// The probabilities of the row's own are e/(e+1) and 1/(1+e), and their softmaxed logarithms are in proportion to them.
	share := math.E / (math.E + 1)
	for i, want := range [][]float64{{share, 1 - share}, {1 - share, share}} {
		for j, w := range want {
			if math.Abs(float64(got.Fused[i][j])-w) > 1e-6 {
				t.Errorf("row %d: %v, want %v", i, got.Fused[i], want)
			}
		}
	}
}

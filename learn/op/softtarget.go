package op

import (
	"math"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// SoftTarget is the mean over positions of the Kullback-Leibler divergence KL(teacher || student), where the teacher is
// known by the log-probabilities of its top k tokens. What is left of its probability is lumped into one event, "any other
// token", and compared with the student's probability of the same event:
//
//	sum over k of p_k (log p_k - log q_k) + rest_p (log rest_p - log rest_q)
//
// so that the student is told how sure the teacher is, and nothing about how the rest is spread. Top-k probabilities that
// sum to more than 1 (they arrive quantised) are normalised and leave no rest; a rest below 1e-6 counts as none.
// Inputs: hidden [n, dim], head [vocab, dim]. Output: [1], 0 without positions.
type SoftTarget struct {
	At     []int32     // rows of hidden
	TopIDs [][]int     // distinct token ids, per position
	TopLog [][]float32 // natural logarithms of the teacher's probabilities, as many
	Head

	teacher, student []float64
	top              []bool // all false between positions
}

func (s *SoftTarget) String() string { return "soft targets" }

// Shape implements Func.
func (s *SoftTarget) Shape(in []tensor.Shape) (tensor.Shape, error) { return s.shape(in) }

const leastRest = 1e-6

// Forward implements Func. It leaves the gradient of the logits in their place for Backward.
func (s *SoftTarget) Forward(out []float32, in [][]float32) {
	logits := s.forward(s.At, in[0], in[1])
	var loss float64
	for i := range s.At {
		loss += s.position(logits[i*s.vocab:][:s.vocab], s.TopIDs[i], s.TopLog[i])
	}
	out[0] = float32(loss / float64(max(1, len(s.At))))
}

// position replaces the logits of one position by the gradient of the divergence, which it returns.
func (s *SoftTarget) position(row []float32, ids []int, logs []float32) float64 {
	if len(s.top) < len(row) {
		s.teacher, s.student, s.top = make([]float64, len(row)), make([]float64, len(row)), make([]bool, len(row))
	}
	top, teacher := s.top[:len(row)], s.teacher[:len(ids)]
	var mass float64
	for k, id := range ids {
		top[id] = true
		teacher[k] = math.Exp(float64(logs[k]))
		mass += teacher[k]
	}
	rest := 1 - mass
	if rest < leastRest || len(ids) >= len(row) {
		rest = 0
		for k := range teacher {
			teacher[k] /= mass
		}
	}

	student := s.student[:len(ids)] // log-probabilities
	for k, id := range ids {
		student[k] = float64(row[id])
	}
	total := float64(kernel.LogSumExp(row, row)) // leaves e = exp(row - max)
	var sum, others float64
	for j, e := range row {
		sum += float64(e)
		if !top[j] {
			others += float64(e)
		}
	}

	var loss float64
	for k := range ids {
		if teacher[k] > 0 {
			loss += teacher[k] * (math.Log(teacher[k]) - (student[k] - total))
		}
	}
	shift := 0.0 // of the gradient of tokens outside the top k, as a share of e
	if rest > 0 {
		others = max(others, math.SmallestNonzeroFloat32)
		loss += rest * (math.Log(rest) - math.Log(others/sum))
		shift = rest / others
	}
	for j, e := range row {
		g := float64(e) / sum
		if !top[j] {
			g -= float64(e) * shift
		}
		row[j] = float32(g)
	}
	for k, id := range ids {
		row[id] -= float32(teacher[k])
		top[id] = false
	}
	return loss
}

// Backward implements Func.
func (s *SoftTarget) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	dlogits := s.logits[:len(s.At)*s.vocab]
	g := grad[0] / float32(max(1, len(s.At)))
	for i := range dlogits {
		dlogits[i] *= g
	}
	s.backward(grads[0], grads[1], dlogits, s.At, in[1])
}

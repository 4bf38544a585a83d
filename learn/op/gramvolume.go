package op

import "math"

// gramLoss is the loss on unit vectors: units[0] are the anchors, the others the vectors of each row, [rows, dim].
type gramLoss struct {
	tau, smooth float64
	cosine      bool // volumes are the negative cosines of anchors and vectors
	rows, dim   int
	labels      []int
	units       [][]float64

	volume  []float64 // [rows anchors, rows sets]
	dvolume []float64
	matrix  *gramMatrix
	logits  []float64 // [rows]: scratch of forward
	index   []int
}

// excluded says whether set j is no candidate for anchor i.
func (l *gramLoss) excluded(i, j int) bool {
	return i != j && l.labels != nil && l.labels[i] >= 0 && l.labels[i] == l.labels[j]
}

func (l *gramLoss) unit(k, i int) []float64 { return l.units[k][i*l.dim:][:l.dim] }

// forward computes the volumes, the loss, and the gradient of the loss with respect to the volumes.
func (l *gramLoss) forward() float64 {
	n := l.rows
	l.volume, l.dvolume = grow64(l.volume, n*n), grow64(l.dvolume, n*n)
	clear(l.dvolume)
	if l.matrix == nil {
		l.matrix = newGramMatrix(len(l.units))
	}
	if len(l.index) < n {
		l.logits, l.index = make([]float64, n), make([]int, n)
	}
	m := l.matrix
	for j := range n {
		m.fillSet(l, j)
		for i := range n {
			if l.cosine {
				l.volume[i*n+j] = -dot64(l.unit(0, i), l.unit(1, j))
				continue
			}
			m.fillAnchor(l, i, j)
			l.volume[i*n+j] = math.Sqrt(max(m.factor(), 0))
		}
	}
	var loss float64
	logits, index := l.logits, l.index
	for direction := range 2 {
		for i := range n {
			count, target := 0, 0
			for j := range n {
				if l.excluded(i, j) {
					continue
				}
				at := i*n + j
				if direction == 1 {
					at = j*n + i
				}
				if i == j {
					target = count
				}
				index[count], logits[count] = at, -l.volume[at]/l.tau
				count++
			}
			loss += l.row(logits[:count], index[:count], target) / float64(2*n)
		}
	}
	return loss
}

// row is the smoothed cross-entropy of one row of logits; it adds the gradient to dvolume.
func (l *gramLoss) row(logits []float64, index []int, target int) float64 {
	peak := math.Inf(-1)
	for _, v := range logits {
		peak = max(peak, v)
	}
	var sum float64
	for _, v := range logits {
		sum += math.Exp(v - peak)
	}
	total := peak + math.Log(sum)
	even := l.smooth / float64(len(logits))
	var loss float64
	for c, v := range logits {
		weight := even
		if c == target {
			weight += 1 - l.smooth
		}
		loss += weight * (total - v)
		l.dvolume[index[c]] += (math.Exp(v-total) - weight) * (-1 / l.tau) / float64(2*l.rows)
	}
	return loss
}

// backward adds the gradient with respect to the unit vectors to grads: dV/dX = V G^-1 X.
func (l *gramLoss) backward(grads [][]float64) {
	n, k := l.rows, len(l.units)
	m := l.matrix
	for j := range n {
		m.fillSet(l, j)
		for i := range n {
			if l.cosine {
				axpy64(grads[0][i*l.dim:][:l.dim], -l.dvolume[i*n+j], l.unit(1, j))
				axpy64(grads[1][j*l.dim:][:l.dim], -l.dvolume[i*n+j], l.unit(0, i))
				continue
			}
			weight := l.dvolume[i*n+j] * l.volume[i*n+j]
			if weight == 0 {
				continue
			}
			m.fillAnchor(l, i, j)
			if m.factor() <= 0 {
				continue
			}
			m.invert()
			for a := range k {
				row := j
				if a == 0 {
					row = i
				}
				for b := range k {
					other := j
					if b == 0 {
						other = i
					}
					axpy64(grads[a][row*l.dim:][:l.dim], weight*m.inverse[a*k+b], l.unit(b, other))
				}
			}
		}
	}
}

// gramMatrix is X X^T + GramEps I of an anchor and the vectors of one row, its Cholesky factor and its inverse.
type gramMatrix struct {
	k                    int
	entry, chol, inverse []float64 // [k, k]; chol is lower triangular
}

func newGramMatrix(k int) *gramMatrix {
	return &gramMatrix{k: k, entry: make([]float64, k*k), chol: make([]float64, k*k), inverse: make([]float64, k*k)}
}

// fillSet fills in the products among the vectors of row j.
func (m *gramMatrix) fillSet(l *gramLoss, j int) {
	for a := 1; a < m.k; a++ {
		for b := 1; b <= a; b++ {
			v := dot64(l.unit(a, j), l.unit(b, j))
			if a == b {
				v += GramEps
			}
			m.entry[a*m.k+b], m.entry[b*m.k+a] = v, v
		}
	}
}

// fillAnchor fills in the products with anchor i.
func (m *gramMatrix) fillAnchor(l *gramLoss, i, j int) {
	anchor := l.unit(0, i)
	m.entry[0] = dot64(anchor, anchor) + GramEps
	for b := 1; b < m.k; b++ {
		v := dot64(anchor, l.unit(b, j))
		m.entry[b], m.entry[b*m.k] = v, v
	}
}

// factor computes the Cholesky factor and returns the determinant, 0 if rounding has made the matrix indefinite.
func (m *gramMatrix) factor() float64 {
	det := 1.0
	for a := range m.k {
		for b := range a + 1 {
			sum := m.entry[a*m.k+b]
			for c := range b {
				sum -= m.chol[a*m.k+c] * m.chol[b*m.k+c]
			}
			if a > b {
				m.chol[a*m.k+b] = sum / m.chol[b*m.k+b]
				continue
			}
			if sum <= 0 {
				return 0
			}
			m.chol[a*m.k+a] = math.Sqrt(sum)
			det *= sum
		}
	}
	return det
}

// invert computes the inverse from the Cholesky factor, a column at a time.
func (m *gramMatrix) invert() {
	k := m.k
	for col := range k {
		x := m.inverse[col*k:][:k] // the inverse is symmetric: columns are rows
		for a := range k {
			sum := 0.0
			if a == col {
				sum = 1
			}
			for c := range a {
				sum -= m.chol[a*k+c] * x[c]
			}
			x[a] = sum / m.chol[a*k+a]
		}
		for a := k - 1; a >= 0; a-- {
			for c := a + 1; c < k; c++ {
				x[a] -= m.chol[c*k+a] * x[c]
			}
			x[a] /= m.chol[a*k+a]
		}
	}
}

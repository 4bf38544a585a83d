package adapter

import (
	"errors"
	"fmt"
	"slices"

	"github.com/mlecs/mlecs/learn/kernel"
)

// RunningMean is WeightedMean of components that come one after another, so that memory holds the sums and a few components, whatever
// their number. The order of what is added is the order of the sum; the number of threads does not change the bits. The zero value has no
// components, and takes its structure from the first.
type RunningMean struct {
	like     *Component  // structure, without data; nil: any
	sums     [][]float64 // by tensor, in room; of any content until a component is added
	weights  []float64
	room     []float64
	decoders [sourcesAtOnce]Decoder
}

// Source is a version of a component that is decoded when its turn comes.
type Source struct {
	Weight float64
	// Open decodes into d, and need not check that values are finite. Sources next to each other are opened by several goroutines at a time.
	// An error that wraps ErrUnusable leaves the source out of the mean; any other one ends it.
	Open func(d *Decoder) (Component, error)
}

// ErrUnusable is wrapped by errors of sources that are to be left out.
var ErrUnusable = errors.New("unusable")

// Reset begins another mean, of components of any structure, in the memory of the one before: a system gives new memory page by page,
// which would take a fifth of the time of a mean of 64 components.
func (m *RunningMean) Reset() {
	m.like, m.sums, m.weights = nil, nil, m.weights[:0]
}

// Expect begins a mean of components that all must have the structure of c.
func (m *RunningMean) Expect(c Component) {
	m.Reset()
	like := c.structure()
	m.like = &like
	m.room = slices.Grow(m.room[:0], int(c.Params()))
	rest := m.room[:c.Params()]
	for _, x := range c.Tensors {
		n := len(x.Data)
		m.sums, rest = append(m.sums, rest[:n:n]), rest[n:]
	}
}

// Add takes in a component, which it does not keep. After an error the mean is what it was.
func (m *RunningMean) Add(c Component, weight float64) error {
	if m.like == nil {
		m.Expect(c)
	}
	if err := m.fits(c); err != nil {
		return fmt.Errorf("averaging, input %d: %w", len(m.weights), err)
	}
	m.add([]Component{c}, []float64{weight})
	return nil
}

// sourcesAtOnce is how many sources are held in memory. The sums, twice as large as one, pass the processor's caches once for all of them.
const sourcesAtOnce = 4

// AddAll takes in what sources open, in their order. Those of another structure, or unusable, are left out; misfits are their indices.
// After an error the mean is of no use.
func (m *RunningMean) AddAll(sources []Source) (misfits []int, err error) {
	var opened [sourcesAtOnce]Component
	var failed [sourcesAtOnce]error
	for first := 0; first < len(sources); first += sourcesAtOnce {
		few := sources[first:min(first+sourcesAtOnce, len(sources))]
		kernel.Parallel(len(few), 1, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				opened[i], failed[i] = few[i].Open(&m.decoders[i])
			}
		})
		var cs []Component
		var weights []float64
		for i, s := range few {
			if failed[i] != nil && !errors.Is(failed[i], ErrUnusable) {
				return nil, failed[i]
			}
			if failed[i] == nil && m.like == nil {
				m.Expect(opened[i])
			}
			if failed[i] != nil || m.fits(opened[i]) != nil {
				misfits = append(misfits, first+i)
				continue
			}
			cs, weights = append(cs, opened[i]), append(weights, s.Weight)
		}
		m.add(cs, weights)
	}
	return misfits, nil
}

// add takes in components that fit.
func (m *RunningMean) add(cs []Component, weights []float64) {
	if len(cs) == 0 {
		return
	}
	cs[0].eachRange(func(t, from, to int) {
		xs := make([][]float32, len(cs))
		for i, c := range cs {
			xs[i] = c.Tensors[t].Data[from:to]
		}
		sums := m.sums[t][from:to]
		if len(m.weights) == 0 {
			clear(sums)
		}
		kernel.AddWeighted(sums, xs, weights)
	})
	m.weights = append(m.weights, weights...)
}

func (m *RunningMean) fits(c Component) error {
	if err := sameNames(*m.like, c); err != nil {
		return err
	}
	for t, x := range c.Tensors {
		if len(x.Data) != len(m.sums[t]) {
			return fmt.Errorf("component %q: tensor %q has %d values, not %d: %w", c.Name, x.Name, len(x.Data), len(m.sums[t]), ErrStructure)
		}
	}
	return nil
}

// Mean is the mean so far. It fails if one of the components had a value that was not finite: sums never lose that.
func (m *RunningMean) Mean() (Component, error) {
	if len(m.weights) == 0 {
		return Component{}, errors.New("averaging: no components")
	}
	total, err := sumWeights(m.weights)
	if err != nil {
		return Component{}, fmt.Errorf("averaging component %q: %w", m.like.Name, err)
	}
	mean := m.like.structure()
	for t, sums := range m.sums {
		mean.Tensors[t].Data = make([]float32, len(sums))
	}
	mean.eachRange(func(t, from, to int) {
		kernel.Quotients(mean.Tensors[t].Data[from:to], m.sums[t][from:to], total)
	})
	if err := mean.Check(); err != nil {
		return Component{}, fmt.Errorf("averaging: %w", err)
	}
	return mean, nil
}

// structure is c without data.
func (c Component) structure() Component {
	bare := Component{Name: c.Name, Signature: c.Signature, Tensors: make([]Tensor, len(c.Tensors))}
	for t, x := range c.Tensors {
		bare.Tensors[t] = Tensor{Name: x.Name, Shape: slices.Clone(x.Shape)}
	}
	return bare
}

// rangeValues is how many values a thread takes at a time: some ten microseconds, and sums that stay in its cache.
const rangeValues = 1 << 14

// eachRange calls f, from several goroutines, with ranges of tensors that together are all values of c.
func (c Component) eachRange(f func(t, from, to int)) {
	kernel.Parallel(int(c.Params()), rangeValues, func(lo, hi int) {
		for t, x := range c.Tensors {
			n := len(x.Data)
			if from, to := max(lo, 0), min(hi, n); from < to {
				f(t, from, to)
			}
			if lo, hi = lo-n, hi-n; hi <= 0 {
				break
			}
		}
	})
}

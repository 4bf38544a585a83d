package method

import (
	"fmt"

	"github.com/mlecs/mlecs/learn/adapter"
)

// Traffic is what the edges sent and received in one round, by the name of what it was ("lora", "encoder/image", "supervision"): bytes of
// the encoded blobs, as the mean over all edges.
type Traffic struct {
	Up, Down map[string]int64
	Params   int64 // parameters that an edge sent, the mean over all edges
}

// tally sums the traffic of a number of edges up.
type tally struct {
	edges    int64
	up, down map[string]int64
	params   int64
}

func newTally(edges int) *tally {
	return &tally{edges: int64(edges), up: map[string]int64{}, down: map[string]int64{}}
}

// sent counts components that one edge sends.
func (t *tally) sent(components []adapter.Component) error {
	t.params += paramsOf(components)
	return count(t.up, components)
}

func paramsOf(components []adapter.Component) (n int64) {
	for _, c := range components {
		n += c.Params()
	}
	return n
}

// received counts components that one edge receives.
func (t *tally) received(components []adapter.Component) error { return count(t.down, components) }

func count(bytes map[string]int64, components []adapter.Component) error {
	for _, c := range components {
		var size counter
		if err := adapter.Write(&size, c); err != nil {
			return fmt.Errorf("counting bytes: %w", err)
		}
		bytes[c.Name] += int64(size)
	}
	return nil
}

// mean is the traffic of an average edge.
func (t *tally) mean() Traffic {
	for _, bytes := range []map[string]int64{t.up, t.down} {
		for name := range bytes {
			bytes[name] /= t.edges
		}
	}
	return Traffic{Up: t.up, Down: t.down, Params: t.params / t.edges}
}

// counter is a writer that only counts.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// supervisionSize is the size of s as a blob that loses nothing.
func supervisionSize(s *Supervision) (int64, error) {
	blob, err := EncodeSupervision(adapter.CodecSafetensors, s)
	if err != nil {
		return 0, fmt.Errorf("counting bytes: %w", err)
	}
	return int64(len(blob)), nil
}

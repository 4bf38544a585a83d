package method

import (
	"fmt"

	"github.com/mlecs/mlecs/learn/adapter"
)

// Traffic is what the edges sent and received in one round, by the name of what it was ("lora", "encoder/image", "supervision"): bytes of
// the encoded blobs, as the mean over all edges.
//
// Every method is counted by the same codecs, those of its Config. Only ML-ECS is also scored with what they lose: the others learn from
// what was sent as if it were float32, which can only be in their favour.
type Traffic struct {
	Up, Down map[string]int64
	Params   int64 // parameters that an edge sent, the mean over all edges
}

// tally sums the traffic of a number of edges up.
type tally struct {
	cfg      Config // names the codecs
	edges    int64
	up, down map[string]int64
	params   int64
}

func newTally(cfg Config, edges int) *tally {
	return &tally{cfg: cfg, edges: int64(edges), up: map[string]int64{}, down: map[string]int64{}}
}

// sent counts components that one edge sends.
func (t *tally) sent(components []adapter.Component) error {
	t.params += paramsOf(components)
	return count(t.up, t.cfg.Codec, components, 1)
}

func paramsOf(components []adapter.Component) (n int64) {
	for _, c := range components {
		n += c.Params()
	}
	return n
}

// received counts components that so many edges receive.
func (t *tally) received(components []adapter.Component, edges int) error {
	return count(t.down, t.cfg.AggregateCodec, components, edges)
}

func count(bytes map[string]int64, setting string, components []adapter.Component, times int) error {
	codec, err := adapter.ParseCodec(setting)
	if err != nil {
		return err
	}
	for _, c := range components {
		blob, err := codec.Encode(c)
		if err != nil {
			return fmt.Errorf("counting bytes: %w", err)
		}
		bytes[c.Name] += int64(len(blob) * times)
	}
	return nil
}

// said is the size of s as a blob.
func (t *tally) said(s *Supervision) (int64, error) {
	blob, err := EncodeSupervision(t.cfg.SupervisionCodec, s)
	if err != nil {
		return 0, fmt.Errorf("counting bytes: %w", err)
	}
	return int64(len(blob)), nil
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

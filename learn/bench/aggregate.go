package bench

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/kernel"
)

// Aggregate is the speed of averaging deltas that come as blobs, one after another.
type Aggregate struct {
	Codec  string `json:"codec"`
	Deltas int    `json:"deltas"`
	Values int64  `json:"values"` // of all of them
	Bytes  int64  `json:"bytes"`  // of all of them
	Runs   int    `json:"runs"`
	Timing
	PerSecond float64 `json:"bytes_per_s"`      // at the median
	Read      float64 `json:"read_bytes_per_s"` // of a plain read of the same bytes by as many threads
	Machine
}

// aggregateDeltas of aggregateParams values are what the goal is set for: 4 MiB each as float32.
const aggregateDeltas, aggregateParams = 64, 1 << 20

// MeasureAggregate averages n times what a codec makes of the deltas.
func MeasureAggregate(ctx context.Context, setting string, n int) (Aggregate, error) {
	a := Aggregate{Codec: setting, Deltas: aggregateDeltas, Runs: n}
	codec, err := adapter.ParseCodec(setting)
	if err != nil {
		return a, err
	}
	blobs := make([][]byte, aggregateDeltas)
	for i := range blobs {
		if blobs[i], err = codec.Encode(lora(aggregateParams, uint64(i))); err != nil {
			return a, err
		}
		a.Bytes += int64(len(blobs[i]))
		a.Values += aggregateParams
	}
	sources := make([]adapter.Source, len(blobs))
	for i, blob := range blobs {
		sources[i] = adapter.Source{Weight: float64(i + 1), Open: func(d *adapter.Decoder) (adapter.Component, error) {
			return d.Decode(codec.Name(), blob, aggregateParams)
		}}
	}
	var mean adapter.RunningMean
	average := func() error {
		mean.Reset()
		if _, err := mean.AddAll(sources); err != nil {
			return err
		}
		_, err := mean.Mean()
		return err
	}
	var seen atomic.Uint64 // keeps the reading from being left out
	read := func() error {
		for _, blob := range blobs {
			kernel.Parallel(len(blob), readGrain, func(lo, hi int) { seen.Add(readAll(blob[lo:hi])) })
		}
		return nil
	}
	times, err := measureInTurn(ctx, n, average, read)
	if err != nil {
		return a, err
	}
	a.Timing = times[0]
	a.PerSecond, a.Read = float64(a.Bytes)/a.Median*1e3, float64(a.Bytes)/times[1].Median*1e3
	a.Machine = machine()
	return a, nil
}

// readGrain is how many bytes a thread reads at a time.
const readGrain = 1 << 17

// lora is a component of n values that do not compress.
func lora(n int, seed uint64) adapter.Component {
	random := rand.New(rand.NewPCG(seed, 1))
	data := make([]float32, n)
	for i := range data {
		data[i] = float32(random.NormFloat64())
	}
	t := []adapter.Tensor{{Name: "lora.weight", Shape: []int{n / 64, 64}, Data: data}}
	return adapter.Component{Name: "lora", Signature: adapter.Signature(t), Tensors: t}
}

// readAll looks at every byte, but for a rest of less than 32.
func readAll(blob []byte) uint64 {
	var a, b, c, d uint64
	for len(blob) >= 32 {
		a ^= binary.LittleEndian.Uint64(blob)
		b ^= binary.LittleEndian.Uint64(blob[8:])
		c ^= binary.LittleEndian.Uint64(blob[16:])
		d ^= binary.LittleEndian.Uint64(blob[24:])
		blob = blob[32:]
	}
	return a ^ b ^ c ^ d
}

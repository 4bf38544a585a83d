package bench

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"runtime"

	"github.com/mlecs/mlecs/learn/adapter"
)

// Aggregate is the speed of averaging deltas that come as files.
type Aggregate struct {
	Deltas int   `json:"deltas"`
	Bytes  int64 `json:"bytes"` // of all of them
	Runs   int   `json:"runs"`
	Timing
	PerSecond float64 `json:"bytes_per_s"`      // at the median
	Read      float64 `json:"read_bytes_per_s"` // of a plain read of the same bytes
	Machine
}

// aggregateDeltas of aggregateParams values are what the goal is set for: 4 MiB each.
const aggregateDeltas, aggregateParams = 64, 1 << 20

// MeasureAggregate averages n times.
func MeasureAggregate(ctx context.Context, n int) (Aggregate, error) {
	a := Aggregate{Deltas: aggregateDeltas, Runs: n}
	blobs := make([][]byte, aggregateDeltas)
	codec := adapter.Codec{}
	for i := range blobs {
		blob, err := codec.Encode(lora(aggregateParams, uint64(i)))
		if err != nil {
			return a, err
		}
		blobs[i] = blob
		a.Bytes += int64(len(blob))
	}
	var err error
	a.Timing, err = measure(ctx, n, func() error {
		var mean adapter.RunningMean
		for i, blob := range blobs {
			c, err := adapter.Decode(codec.Name(), blob, aggregateParams)
			if err != nil {
				return err
			}
			if err := mean.Add(c, float64(i+1)); err != nil {
				return err
			}
		}
		_, err := mean.Mean()
		return err
	})
	if err != nil {
		return a, err
	}
	var seen uint64 // keeps the reading from being left out
	read, err := measure(ctx, n, func() error {
		for _, blob := range blobs {
			seen ^= readAll(blob)
		}
		return nil
	})
	runtime.KeepAlive(seen)
	a.PerSecond, a.Read = float64(a.Bytes)/a.Median*1e3, float64(a.Bytes)/read.Median*1e3
	a.Machine = machine()
	return a, err
}

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

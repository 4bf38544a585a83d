package adapter_test

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"pgregory.net/rapid"
)

// sourcesOf are blobs of a codec, opened when their turn comes.
func sourcesOf(t *testing.T, codec string, cs []adapter.Component) []adapter.Source {
	t.Helper()
	var sources []adapter.Source
	for i, c := range cs {
		blob, err := parseCodec(t, codec).Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, adapter.Source{Weight: float64(i + 1), Open: func(d *adapter.Decoder) (adapter.Component, error) {
			return d.Decode(codec, blob, 1<<20)
		}})
	}
	return sources
}

// A stream of blobs has the mean of what they decode to, to the bit, for every codec and number of threads.
func TestStreamedMeanIsTheMean(t *testing.T) {
	var cs []adapter.Component
	for i := range 11 {
		values := make([]float32, 40_000)
		for j := range values {
			values[j] = float32(math.Sin(float64(i*len(values)+j))) / float32(j%7+1)
		}
		cs = append(cs, lora(values...))
	}
	var mean adapter.RunningMean // what it was used for before makes no difference
	if err := mean.Add(lora(slices.Repeat([]float32{1, 2}, 30_000)...), 1); err != nil {
		t.Fatal(err)
	}
	for _, codec := range []string{"safetensors", "bf16", "int8", "int4", "topk", "lowrank"} {
		sources := sourcesOf(t, codec, cs)
		var decoded []adapter.Component
		var weights []float64
		for _, s := range sources {
			c, err := s.Open(new(adapter.Decoder))
			if err != nil {
				t.Fatal(err)
			}
			decoded, weights = append(decoded, c), append(weights, s.Weight)
		}
		want, err := adapter.WeightedMean(decoded, weights)
		if err != nil {
			t.Fatal(err)
		}
		for _, threads := range []int{1, 3} {
			old := runtime.GOMAXPROCS(threads)
			mean.Reset()
			misfits, err := mean.AddAll(sources)
			runtime.GOMAXPROCS(old)
			if err != nil || len(misfits) > 0 {
				t.Fatal(misfits, err)
			}
			got, err := mean.Mean()
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Tensors[0].Data, want.Tensors[0].Data) {
				t.Errorf("%s on %d threads: the mean of a stream has other bits", codec, threads)
			}
		}
	}
}

func TestStreamLeavesOutWhatDoesNotFit(t *testing.T) {
	other := lora(1, 2, 3)
	other.Signature = lora(1, 2).Signature
	sources := sourcesOf(t, "safetensors", []adapter.Component{lora(2, 4), other, lora(2, 4), lora(1)})
	for name, prepare := range map[string]func(*adapter.RunningMean){
		"the first says what fits": func(*adapter.RunningMean) {},
		"the caller does":          func(m *adapter.RunningMean) { m.Expect(lora(0, 0)) },
	} {
		var mean adapter.RunningMean
		prepare(&mean)
		misfits, err := mean.AddAll(sources)
		if err != nil || !slices.Equal(misfits, []int{1, 3}) {
			t.Errorf("%s: misfits %v, %v", name, misfits, err)
		}
		if c, err := mean.Mean(); err != nil || !slices.Equal(c.Tensors[0].Data, []float32{2, 4}) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	var mean adapter.RunningMean
	mean.Expect(lora(0))
	if misfits, err := mean.AddAll(sources[:2]); err != nil || !slices.Equal(misfits, []int{0, 1}) {
		t.Errorf("misfits %v, %v", misfits, err)
	}
	if _, err := mean.Mean(); err == nil {
		t.Error("a mean of nothing")
	}
	sources[2].Open = func(*adapter.Decoder) (adapter.Component, error) {
		return adapter.Component{}, fmt.Errorf("spoilt: %w", adapter.ErrUnusable)
	}
	if misfits, err := new(adapter.RunningMean).AddAll(sources); err != nil || !slices.Equal(misfits, []int{1, 2, 3}) {
		t.Errorf("misfits %v, %v", misfits, err)
	}
}

func TestStreamEndsAtTheFirstError(t *testing.T) {
	gone := errors.New("gone")
	sources := sourcesOf(t, "safetensors", []adapter.Component{lora(1), lora(2), lora(3)})
	sources[1].Open = func(*adapter.Decoder) (adapter.Component, error) { return adapter.Component{}, gone }
	var mean adapter.RunningMean
	if _, err := mean.AddAll(sources); !errors.Is(err, gone) {
		t.Errorf("error %v, want %v", err, gone)
	}
}

// What a Decoder does not look for, the mean finds.
func TestMeanFindsWhatIsNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, values := range map[string][]float32{"NaN": {1, nan}, "infinity": {1, inf}, "less than nothing": {1, -inf}} {
		var mean adapter.RunningMean
		for _, c := range []adapter.Component{lora(values...), lora(1, 2)} {
			if err := mean.Add(c, 0.5); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := mean.Mean(); err == nil || !strings.Contains(err.Error(), "value 1 is") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// A Decoder gives what Decode gives, whatever it has decoded before, and wherever the blob lies in memory.
func TestDecoderKeepsNothingOfEarlierBlobs(t *testing.T) {
	var decoder adapter.Decoder
	rapid.Check(t, func(t *rapid.T) {
		codec := rapid.SampledFrom([]string{"safetensors", "bf16", "int8", "int4", "topk", "lowrank"}).Draw(t, "codec")
		c := lora(rapid.SliceOfN(rapid.Float32Range(-5, 5), 0, 300).Draw(t, "values")...)
		parsed, err := adapter.ParseCodec(codec)
		if err != nil {
			t.Fatal(err)
		}
		blob, err := parsed.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		shift := rapid.IntRange(0, 4).Draw(t, "shift")
		blob = append(make([]byte, shift), blob...)[shift:]
		got, err := decoder.Decode(codec, blob, 1<<10)
		if err != nil {
			t.Fatal(err)
		}
		want, err := adapter.Decode(codec, blob, 1<<10)
		if err != nil {
			t.Fatal(err)
		}
		if err := adapter.SameStructure(got, want); err != nil || !slices.Equal(got.Tensors[0].Data, want.Tensors[0].Data) {
			t.Fatalf("got %v, want %v: %v", got, want, err)
		}
	})
}

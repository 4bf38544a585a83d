package adapter_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"pgregory.net/rapid"
)

// codecSuite is what every codec must keep. within is how far a value may be from what it was, given the largest of its group.
type codecSuite struct {
	setting string
	within  func(value, largest float64) float64
}

var codecSuites = []codecSuite{
	{"safetensors", func(float64, float64) float64 { return 0 }},
	{"bf16", func(value, _ float64) float64 { return value*0x1p-8 + 0x1p-134 }},
	{"int8", func(_, largest float64) float64 { return (largest/127*(1+0x1p-7) + 0x1p-133) * 0.5 * (1 + 1e-12) }},
	{"int4", func(_, largest float64) float64 { return (largest/7*(1+0x1p-7) + 0x1p-133) * 0.5 * (1 + 1e-12) }},
	{"topk:1", func(value, _ float64) float64 { return value*0x1p-8 + 0x1p-134 }},
	{"topk:0.3", func(value, _ float64) float64 { return value + 0x1p-134 }},
	{"lowrank:0.2", func(float64, float64) float64 { return math.Inf(1) }}, // TestLowRankFindsDirections says what is left
}

func TestCodecs(t *testing.T) {
	for _, s := range codecSuites {
		codec := parseCodec(t, s.setting)
		t.Run(s.setting, func(t *testing.T) {
			if codec.String() != s.setting {
				t.Errorf("the setting comes back as %q", codec)
			}
			rapid.Check(t, func(t *rapid.T) { s.roundTrip(t, codec) })
			s.refuses(t, codec)
		})
	}
}

func parseCodec(t rapid.TB, setting string) adapter.Codec {
	t.Helper()
	c, err := adapter.ParseCodec(setting)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s codecSuite) roundTrip(t *rapid.T, codec adapter.Codec) {
	c := adapter.Component{Name: rapid.StringN(1, 8, -1).Draw(t, "name"), Tensors: drawTensors(t)}
	wide := rapid.IntRange(1, 200).Draw(t, "row")
	data := rapid.SliceOfN(rapid.Float32(), 2*wide, 2*wide).Draw(t, "wide")
	c.Tensors = append(c.Tensors, adapter.Tensor{Name: "wide", Shape: []int{2, wide}, Data: data})
	c.Signature = adapter.Signature(c.Tensors)
	blob, err := codec.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	shuffled := c
	shuffled.Tensors = rapid.Permutation(c.Tensors).Draw(t, "order")
	if again, err := codec.Encode(shuffled); err != nil || !bytes.Equal(again, blob) {
		t.Fatalf("other bytes for the same component (%v)", err)
	}
	got, err := adapter.Decode(codec.Name(), blob, c.Params())
	if err != nil {
		t.Fatal(err)
	}
	if err := adapter.SameStructure(c, got); err != nil {
		t.Fatal(err)
	}
	for i, x := range c.Tensors {
		for j, v := range x.Data {
			row := 1
			if n := len(x.Shape); n > 0 {
				row = x.Shape[n-1]
			}
			value, largest := math.Abs(float64(v)), largestOfGroup(x.Data, row, j)
			if lost := math.Abs(float64(v) - float64(got.Tensors[i].Data[j])); !(lost <= s.within(value, largest)) {
				t.Fatalf("tensor %q %v: value %d is %v, was %v", x.Name, x.Shape, j, got.Tensors[i].Data[j], v)
			}
		}
	}
	if _, err := adapter.Decode(codec.Name(), blob, c.Params()-1); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Fatalf("the limit did not hold: %v", err)
	}
}

// largestOfGroup is the largest magnitude in the group of 64 of value j: a piece of its row, or several rows.
func largestOfGroup(data []float32, row, j int) (largest float64) {
	size := 64 / row * row
	start, end := 0, len(data)
	if row >= 64 {
		size, start = 64, j/row*row
		end = start + row
	}
	from := start + (j-start)/size*size
	for _, x := range data[from:min(from+size, end)] {
		largest = max(largest, math.Abs(float64(x)))
	}
	return largest
}

func (s codecSuite) refuses(t *testing.T, codec adapter.Codec) {
	if _, err := codec.Encode(lora(1, float32(math.NaN()))); err == nil || !strings.Contains(err.Error(), "value 1 is NaN") {
		t.Errorf("not a number: %v", err)
	}
	twice := lora(1)
	twice.Tensors = append(twice.Tensors, twice.Tensors[0])
	if _, err := codec.Encode(twice); err == nil || !strings.Contains(err.Error(), "used twice") {
		t.Errorf("a tensor twice: %v", err)
	}
	blob, err := codec.Encode(lora(1, -2, 3))
	if err != nil {
		t.Fatal(err)
	}
	for n := range blob {
		if _, err := adapter.Decode(codec.Name(), blob[:n], 3); err == nil {
			t.Errorf("the first %d of %d bytes are taken for all", n, len(blob))
		}
	}
	if _, err := adapter.Decode(codec.Name(), append(blob, 0), 3); err == nil {
		t.Error("a byte more is taken")
	}
	for _, other := range []string{"", "bf16", "int8", "int4", "topk", "topk:0.1", "safetensors", "zip"} {
		if other != codec.Name() {
			if _, err := adapter.Decode(other, blob, 3); err == nil {
				t.Errorf("it decodes as %q", other)
			}
		}
	}
}

func TestParseCodec(t *testing.T) {
	for _, setting := range []string{"", "zip", "int8:3", "bf16:", "topk:", "topk:0", "topk:1.1", "topk:NaN", "topk:-1", "TOPK", "lowrank:0.3", "lowrank:0"} {
		if c, err := adapter.ParseCodec(setting); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", setting)) {
			t.Errorf("%q: %v, %v", setting, c, err)
		}
	}
	if c := parseCodec(t, "topk"); c.String() != "topk:0.1" || c.Name() != "topk" || c.Lossless() {
		t.Errorf("%v", c)
	}
	if c := (adapter.Codec{}); c.Name() != "safetensors" || !c.Lossless() {
		t.Errorf("%v", c)
	}
}

func TestTopKKeepsTheLargest(t *testing.T) {
	blob, err := parseCodec(t, "topk:0.4").Encode(lora(0.5, -4, 0, 2, 1, -2, 2, 0, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	got, err := adapter.Decode("topk", blob, 10)
	if err != nil {
		t.Fatal(err)
	}
	if want := []float32{0, -4, 0, 2, 0, -2, 2, 0, 0, 0}; !slices.Equal(got.Tensors[0].Data, want) {
		t.Errorf("got %v, want %v", got.Tensors[0].Data, want)
	}
	if blob, err = parseCodec(t, "topk:0.3").Encode(lora(2, 2, -2, 2, 2, 2, 2, 2, 2, 2)); err != nil {
		t.Fatal(err)
	}
	if got, err = adapter.Decode("topk", blob, 10); err != nil {
		t.Fatal(err)
	}
	if want := []float32{2, 2, -2, 0, 0, 0, 0, 0, 0, 0}; !slices.Equal(got.Tensors[0].Data, want) {
		t.Errorf("of equal values the first: got %v", got.Tensors[0].Data)
	}
}

// outer is the tensor u v^T.
func outer(name string, u, v []float32) adapter.Tensor {
	t := adapter.Tensor{Name: name, Shape: []int{len(u), len(v)}}
	for _, a := range u {
		for _, b := range v {
			t.Data = append(t.Data, a*b)
		}
	}
	return t
}

// A matrix of one direction takes the bytes of two vectors, and what is left of it falls with every further term.
func TestLowRankFindsDirections(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	vector := func(n int, size float64) (x []float32) {
		for range n {
			x = append(x, float32(size*r.NormFloat64()))
		}
		return x
	}
	c := adapter.Component{Name: "lora", Signature: "s", Tensors: []adapter.Tensor{
		outer("a", vector(64, 1), vector(256, 0.01)), {Name: "b", Shape: []int{100}, Data: vector(100, 0.003)}, outer("c", vector(128, 1), vector(96, 0.0001)),
	}}
	lost := func(setting string) (share []float64) {
		blob, err := parseCodec(t, setting).Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := adapter.Decode("lowrank", blob, c.Params())
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range c.Tensors {
			var rest, all float64
			for j, v := range x.Data {
				d := float64(v - got.Tensors[i].Data[j])
				rest, all = rest+d*d, all+float64(v)*float64(v)
			}
			share = append(share, rest/all)
		}
		return share
	}
	if x := lost("lowrank:0.0015"); x[0] > 0.1 || x[1] > 0.1 || x[2] != 1 {
		t.Errorf("with bytes for two terms: %v is left, want less than a tenth of the larger tensors, and all of the smallest", x)
	}
	if x := lost("lowrank:0.02"); x[0] > 1e-4 || x[1] > 0.1 || x[2] > 0.1 {
		t.Errorf("with bytes for many terms: %v is left", x)
	}
}

// Over the rounds all that was to be sent arrives, but for what is still to come and the rounding of float32 sums.
func TestLowRankFeedbackCatchesUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, codec := &adapter.Feedback{}, parseCodec(t, "lowrank:0.25")
		n := rapid.IntRange(1, 80).Draw(t, "values")
		sent, arrived := make([]float64, n), make([]float64, n)
		for range rapid.IntRange(1, 10).Draw(t, "rounds") {
			values := rapid.SliceOfN(rapid.Float32Range(-1000, 1000), n, n).Draw(t, "values")
			_, arrives, err := f.Encode(codec, lora(values...))
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range arrives.Tensors[0].Data {
				sent[i] += float64(values[i])
				arrived[i] += float64(v)
			}
		}
		for i, lost := range f.Lost().Tensors[0].Data {
			if math.Abs(arrived[i]+float64(lost)-sent[i]) > 0.1 {
				t.Fatalf("value %d: %v arrived and %v is lost of %v", i, arrived[i], lost, sent[i])
			}
		}
	})
}

// What arrives and what is still to come are, to the bit, what was to be sent; over several rounds nothing is lost.
func TestFeedbackLosesNothing(t *testing.T) {
	for _, setting := range []string{"safetensors", "bf16", "int8", "int4", "topk:0.1"} {
		codec := parseCodec(t, setting)
		t.Run(setting, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				f := &adapter.Feedback{}
				n := rapid.IntRange(1, 80).Draw(t, "values")
				sent, arrived := make([]float64, n), make([]float64, n)
				rounds := rapid.IntRange(1, 4).Draw(t, "rounds")
				before := make([]float32, n) // lost
				for range rounds {
					values := rapid.SliceOfN(rapid.Float32Range(-1000, 1000), n, n).Draw(t, "values")
					blob, arrives, err := f.Encode(codec, lora(values...))
					if err != nil {
						t.Fatal(err)
					}
					decoded, err := adapter.Decode(codec.Name(), blob, int64(n))
					if err != nil {
						t.Fatal(err)
					}
					if err := sameTensors(decoded.Tensors, arrives.Tensors); err != nil {
						t.Fatal(err)
					}
					lost := f.Lost().Tensors[0].Data
					for i, v := range arrives.Tensors[0].Data {
						if whole := values[i] + before[i]; float64(v)+float64(lost[i]) != float64(whole) {
							t.Fatalf("value %d: %v arrived and %v is lost of %v", i, v, lost[i], whole)
						}
						sent[i] += float64(values[i])
						arrived[i] += float64(v)
					}
					before = lost
					f = adapter.NewFeedback(f.Lost()) // a restart
				}
				for i, lost := range before {
					if gap := math.Abs(arrived[i] + float64(lost) - sent[i]); gap > float64(rounds)*4000*0x1p-24 {
						t.Fatalf("value %d: %v arrived and %v is lost of %v", i, arrived[i], lost, sent[i])
					}
				}
			})
		})
	}
}

func TestFeedbackKeepsToOneStructure(t *testing.T) {
	f := &adapter.Feedback{}
	codec := parseCodec(t, "int4")
	if _, _, err := f.Encode(codec, lora(1, 5)); err != nil {
		t.Fatal(err)
	}
	before := f.Lost()
	if _, _, err := f.Encode(codec, lora(1, 2, 3)); err == nil || !strings.Contains(err.Error(), "lost before") {
		t.Errorf("another structure: %v", err)
	}
	if err := sameTensors(f.Lost().Tensors, before.Tensors); err != nil {
		t.Errorf("a refused component changed what is lost: %v", err)
	}
}

func TestDifferences(t *testing.T) {
	d, err := lora(3, 5).Minus(lora(1, 7))
	if err != nil {
		t.Fatal(err)
	}
	back, err := lora(1, 7).Plus(d)
	if err != nil {
		t.Fatal(err)
	}
	if x := back.Tensors[0].Data; d.Tensors[0].Data[1] != -2 || x[0] != 3 || x[1] != 5 {
		t.Errorf("difference %v, sum %v", d, back)
	}
	if _, err := lora(1).Minus(lora(1, 2)); err == nil {
		t.Error("structures differ")
	}
}

// A blob of a kilobyte may stand for a gigabyte of zeros: the limit holds before memory is taken.
func TestDecodeBoundsWhatABlobClaims(t *testing.T) {
	for _, setting := range []string{"bf16", "int8", "int4"} {
		blob, err := parseCodec(t, setting).Encode(lora(make([]float32, 1<<22)...))
		if err != nil {
			t.Fatal(err)
		}
		if len(blob) > 1<<12 {
			t.Errorf("%s: %d bytes of zeros", setting, len(blob))
		}
		allocated := testing.AllocsPerRun(1, func() {
			if _, err := adapter.Decode(setting, blob, 1<<20); err == nil {
				t.Error("the limit did not hold")
			}
		})
		if allocated > 100 {
			t.Errorf("%s: %v allocations to refuse", setting, allocated)
		}
	}
}

// blob puts a header for tensors of the given names and one dimension, and a packing byte, in front of a payload.
func blob(codec, names string, dim byte, payload string) string {
	b := "MLC1" + string(byte(len(codec))) + codec + "\x01a\x01s" + string(byte(len(names)))
	for _, n := range names {
		b += "\x00\x01" + string(n) + "\x01" + string(dim)
	}
	return b + payload
}

var badBlobs = map[string]struct{ codec, blob, want string }{
	"empty":                   {"bf16", "", `does not begin with "MLC1"`},
	"another codec's":         {"bf16", blob("int8", "x", 1, "\x00\x00\x00\x01"), `component "a" is encoded as "int8"`},
	"a setting":               {"topk:0.1", blob("topk", "", 0, "\x00\x00"), "is not known"},
	"a name beyond the end":   {"bf16", "MLC1\x04bf16\x7fa", "header: unexpected EOF"},
	"a name that is not text": {"bf16", "MLC1\x04bf16\x01\xff\x01s\x00\x00", "not UTF-8"},
	"a long number":           {"bf16", "MLC1\x04bf16\x81\x00a\x01s\x00\x00", "shortest form"},
	"a prefix cut short":      {"bf16", "MLC1\x04bf16\x01a\x01s\x02\x00\x02xy\x01\x01\x00\x02xz\x01\x01\x00\x00\x00\x00\x00", "shortest form"},
	"a prefix too long":       {"bf16", "MLC1\x04bf16\x01a\x01s\x01\x01\x01x\x01\x01\x00\x00\x00", "1 is more than 0"},
	"too many tensors":        {"bf16", "MLC1\x04bf16\x01a\x01s\xff\xff\xff\x7f", "is more than 65536"},
	"a tensor twice":          {"bf16", blob("bf16", "x", 1, "")[:13] + "\x02\x00\x01x\x01\x01\x01\x00\x01\x01\x00\x00\x00\x00\x00", `tensor "x" occurs twice or out of order`},
	"out of order":            {"bf16", blob("bf16", "yx", 1, "\x00\x00\x00\x00\x00"), `tensor "x" occurs twice or out of order`},
	"an unknown packing":      {"bf16", blob("bf16", "x", 1, "\x02\x00\x00"), "packing 2"},
	"no payload":              {"bf16", blob("bf16", "x", 1, ""), "unexpected EOF"},
	"a short payload":         {"bf16", blob("bf16", "x", 1, "\x00\x00"), "want 2 to 2"},
	"no zstd":                 {"bf16", blob("bf16", "x", 1, "\x01\x00\x00"), "decompressing"},
	"infinite":                {"bf16", blob("bf16", "x", 1, "\x00\x7f\x80"), `tensor "x": value 0 is +Inf`},
	"a negative scale":        {"int8", blob("int8", "x", 1, "\x00\x80\xbf\x01"), `tensor "x": a scale is -1`},
	"an infinite scale":       {"int4", blob("int4", "x", 1, "\x00\x80\x7f\x89"), `tensor "x": a scale is +Inf`},
	"a step too low":          {"int8", blob("int8", "x", 1, "\x00\x80\x3f\x80"), "-128 steps; want -127 to 127"},
	"half a byte too low":     {"int4", blob("int4", "x", 1, "\x00\x80\x3f\x80"), "-8 steps; want -7 to 7"},
	"a filling":               {"int4", blob("int4", "x", 1, "\x00\x80\x3f\x99"), "filling of 8"},
	"more kept than there":    {"topk", blob("topk", "x", 1, "\x02\x00"), "2 is more than 1"},
	"a place beyond":          {"topk", blob("topk", "x", 2, "\x01\x00\x3f\x80\x02"), "beyond the 2 values"},
	"a lowrank without end":   {"lowrank", blob("lowrank", "x", 1, "\x00\x00\x00\x00\x00\x01"), "1 follow"},
	"a lowrank cut short":     {"lowrank", blob("lowrank", "x", 100, "\x00\x00\x80\x00\x00\x00"), "a scale is"},
	"places too many":         {"topk", blob("topk", "x", 2, "\x01\x00\x3f\x80\x01\x00"), "1 bytes follow"},
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range badBlobs {
		_, err := adapter.Decode(c.codec, []byte(c.blob), 100)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	if c, err := adapter.Decode("int8", []byte(blob("int8", "xy", 1, "\x00\x80\x3f\x00\x40\x03\xff")), 2); err != nil || c.Tensors[0].Data[0] != 3 || c.Tensors[1].Data[0] != -2 {
		t.Errorf("a good one: %v, %v", c, err)
	}
}

// FuzzDecode: no input panics, and what is decoded is encoded again as something that decodes to the same structure.
func FuzzDecode(f *testing.F) {
	names := []string{"safetensors", "bf16", "int8", "int4", "topk", "lowrank"}
	for i, name := range names {
		codec, err := adapter.ParseCodec(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, c := range []adapter.Component{lora(1, -2, 3), lora(), gpt(), lora(make([]float32, 200)...)} {
			blob, err := codec.Encode(c)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), blob)
			if len(blob) > 10 {
				f.Add(uint8(i), blob[:len(blob)-1])
			}
		}
	}
	for _, c := range badBlobs {
		f.Add(uint8(max(0, slices.Index(names, c.codec))), []byte(c.blob))
	}
	f.Fuzz(func(t *testing.T, which uint8, blob []byte) {
		name := names[int(which)%len(names)]
		c, err := adapter.Decode(name, blob, 1<<16)
		if err != nil {
			return
		}
		codec := parseCodec(t, name)
		again, err := codec.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		d, err := adapter.Decode(name, again, 1<<16)
		if err != nil {
			t.Fatal(err)
		}
		if err := adapter.SameStructure(c, d); err != nil {
			t.Fatal(err)
		}
	})
}

// realistic is LoRA r 8 of a GPT-2 layer, or an encoder: values like those that training gives, of a normal distribution with another
// width in each row.
func realistic(name string, shapes ...[]int) adapter.Component {
	r := rand.New(rand.NewPCG(3, 4))
	c := adapter.Component{Name: name, Signature: "s"}
	for i, shape := range shapes {
		x := adapter.Tensor{Name: fmt.Sprintf("layer.%d.weight", i), Shape: shape}
		n := 1
		for _, d := range shape {
			n *= d
		}
		row := shape[len(shape)-1]
		for range n / row {
			width := 0.02 * math.Exp(0.7*r.NormFloat64())
			for range row {
				x.Data = append(x.Data, float32(r.NormFloat64()*width))
			}
		}
		c.Tensors = append(c.Tensors, x)
	}
	return c
}

// What a codec may cost and lose on realistic tensors; -v prints what it does.
func TestCodecCosts(t *testing.T) {
	components := []adapter.Component{
		realistic("lora", []int{8, 768}, []int{2304, 8}, []int{8, 768}, []int{768, 8}),
		realistic("encoder/image", []int{16, 1, 3, 3}, []int{32, 16, 3, 3}, []int{64, 512}, []int{64}),
	}
	for _, c := range components {
		for setting, most := range map[string]struct{ bytes, lost float64 }{
			"safetensors": {4.1, 0}, "bf16": {1.8, 0.0025}, "int8": {1.15, 0.015}, "int4": {0.62, 0.2}, "topk:0.1": {0.3, 0.85}, "lowrank:0.01": {0.06, 0.98}, "topk:0.01": {0.06, 0.99},
		} {
			blob, arrives, err := (&adapter.Feedback{}).Encode(parseCodec(t, setting), c)
			if err != nil {
				t.Fatal(err)
			}
			var lost, all float64
			for i, x := range c.Tensors {
				for j, v := range x.Data {
					d := float64(v - arrives.Tensors[i].Data[j])
					lost += d * d
					all += float64(v) * float64(v)
				}
			}
			bytes, relative := float64(len(blob))/float64(c.Params()), math.Sqrt(lost/all)
			t.Logf("%-14s %-12s %.3f bytes a parameter, relative error %.4f", c.Name, setting, bytes, relative)
			if bytes > most.bytes || relative > most.lost {
				t.Errorf("%s %s: %.3f bytes a parameter and a relative error of %.4f, want at most %v", c.Name, setting, bytes, relative, most)
			}
		}
	}
}

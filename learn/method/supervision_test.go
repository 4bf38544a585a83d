package method_test

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
	"pgregory.net/rapid"
)

func twoRows() *method.Supervision {
	return &method.Supervision{
		IDs:   []string{"a", "b"},
		Fused: [][]float32{{0.5, -1}, {2, 3}},
		Soft: []model.SoftTarget{
			{IDs: []int{4, 9}, TopIDs: [][]int{{4, 1}, {9, 2}}, TopLog: [][]float32{{-0.1, -3}, {0, -9}}},
			{IDs: []int{9}, TopIDs: [][]int{{9, 4}}, TopLog: [][]float32{{-0.5, -1}}},
		},
	}
}

func TestSupervisionRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width, k := rapid.IntRange(0, 4).Draw(t, "width"), rapid.IntRange(1, 3).Draw(t, "k")
		want := &method.Supervision{}
		for _, id := range rapid.SliceOfNDistinct(rapid.StringN(1, 8, -1), 1, 5, rapid.ID).Draw(t, "ids") {
			want.IDs = append(want.IDs, id)
			want.Fused = append(want.Fused, rapid.SliceOfN(rapid.Float32Range(-5, 5), width, width).Draw(t, "fused"))
			var soft model.SoftTarget
			for range rapid.IntRange(1, 4).Draw(t, "tokens") {
				soft.IDs = append(soft.IDs, rapid.IntRange(0, 1<<24-1).Draw(t, "id"))
				soft.TopIDs = append(soft.TopIDs, rapid.SliceOfN(rapid.IntRange(0, 500), k, k).Draw(t, "top"))
				soft.TopLog = append(soft.TopLog, rapid.SliceOfN(rapid.Float32Range(-50, 0), k, k).Draw(t, "log"))
			}
			want.Soft = append(want.Soft, soft)
		}
		blob, err := method.EncodeSupervision("safetensors", want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := method.DecodeSupervision(blob, 1<<16)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

// A byte for every probability costs next to nothing, whatever the codec of representations: they are off by 0.01 at most.
func TestQuantisedSupervisionStaysClose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		codec := rapid.SampledFrom([]string{"int8", "int4"}).Draw(t, "codec")
		off := map[string]float64{"int8": 5.0 / 127, "int4": 5.0 / 7}[codec]
		logs := rapid.SliceOfN(rapid.Float32Range(-40, 0), 2, 2).Draw(t, "logs")
		fused := rapid.SliceOfN(rapid.Float32Range(-5, 5), 7, 7).Draw(t, "fused")
		want := &method.Supervision{
			IDs: []string{"a"}, Fused: [][]float32{fused},
			Soft: []model.SoftTarget{{IDs: []int{300}, TopIDs: [][]int{{300, 2}}, TopLog: [][]float32{logs}}},
		}
		blob, err := method.EncodeSupervision(codec, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := method.DecodeSupervision(blob, 1<<10)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Soft[0].IDs, want.Soft[0].IDs) || !reflect.DeepEqual(got.Soft[0].TopIDs, want.Soft[0].TopIDs) {
			t.Fatalf("other tokens: %+v", got.Soft)
		}
		for i, v := range fused {
			if math.Abs(float64(got.Fused[0][i]-v)) > off {
				t.Fatalf("fused value %v came back as %v", v, got.Fused[0][i])
			}
		}
		for i, v := range logs {
			p, q := math.Exp(float64(v)), math.Exp(float64(got.Soft[0].TopLog[0][i]))
			if math.Abs(p-q) > 0.01 {
				t.Fatalf("probability %v came back as %v", p, q)
			}
		}
	})
}

func TestNoRowsAreSupervisionToo(t *testing.T) {
	blob, err := method.EncodeSupervision("int8", &method.Supervision{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := method.DecodeSupervision(blob, 0)
	if err != nil || len(got.IDs) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEncodeSupervisionRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for want, spoil := range map[string]func(*method.Supervision){
		"occurs twice":                      func(s *method.Supervision) { s.IDs[1] = "a" },
		"is longer than 1024 bytes":         func(s *method.Supervision) { s.IDs[1] = strings.Repeat("a", 1025) },
		"1 fused representations":           func(s *method.Supervision) { s.Fused = s.Fused[:1] },
		"3 fused values where":              func(s *method.Supervision) { s.Fused[1] = append(s.Fused[1], 1) },
		"a fused value is NaN":              func(s *method.Supervision) { s.Fused[0][0] = nan },
		"token 1 has id -1":                 func(s *method.Supervision) { s.Soft[0].IDs[1] = -1 },
		"alternative 0 has id 16777216":     func(s *method.Supervision) { s.Soft[0].TopIDs[0][0] = 1 << 24 },
		"has log-probability NaN":           func(s *method.Supervision) { s.Soft[0].TopLog[0][0] = nan },
		"has log-probability 1":             func(s *method.Supervision) { s.Soft[0].TopLog[0][0] = 1 },
		"where k is 2":                      func(s *method.Supervision) { s.Soft[1].TopIDs[0] = []int{1} },
		"2 tokens with 1 and 2 top-k lists": func(s *method.Supervision) { s.Soft[0].TopIDs = s.Soft[0].TopIDs[:1] },
	} {
		s := twoRows()
		spoil(s)
		if _, err := method.EncodeSupervision("safetensors", s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestDecodeSupervisionRefuses(t *testing.T) {
	blob, err := method.EncodeSupervision("int8", twoRows())
	if err != nil {
		t.Fatal(err)
	}
	for n := range blob {
		if _, err := method.DecodeSupervision(blob[:n], 1<<16); err == nil {
			t.Errorf("the first %d of %d bytes are enough", n, len(blob))
		}
	}
	for want, c := range map[string]struct {
		blob  []byte
		limit int64
	}{
		"does not begin with":        {[]byte("MLS2"), 1 << 16},
		"bytes follow":               {append(slices.Clone(blob), 0), 1 << 16},
		"in its shortest form":       {bytes.Replace(blob, []byte("\x04int8"), []byte("\x84\x00int8"), 1), 1 << 16},
		"at most 3 are allowed":      {blob, 3},
		"more than 18 values":        {blob, 18}, // 4 fused values and three tokens of 5 numbers are 19
		`codec "zip8" is not known`:  {bytes.Replace(blob, []byte("\x04int8"), []byte("\x04zip8"), 1), 1 << 16},
		`component "fused" is encod`: {bytes.Replace(blob, []byte("\x04int8"), []byte("\x04bf16"), 1), 1 << 16},
	} {
		if _, err := method.DecodeSupervision(c.blob, c.limit); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// FuzzDecodeSupervision: no input panics, and what is read can be written.
func FuzzDecodeSupervision(f *testing.F) {
	for _, codec := range []string{"int8", "safetensors"} {
		blob, err := method.EncodeSupervision(codec, twoRows())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(blob)
	}
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := method.DecodeSupervision(raw, 1<<16)
		if err != nil {
			return
		}
		if _, err := method.EncodeSupervision("safetensors", s); err != nil {
			t.Fatal(err)
		}
	})
}

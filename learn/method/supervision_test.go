package method_test

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
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
		var file bytes.Buffer
		if err := method.WriteSupervision(&file, want); err != nil {
			t.Fatal(err)
		}
		got, err := method.ReadSupervision(&file, int64(file.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestNoRowsAreSupervisionToo(t *testing.T) {
	var file bytes.Buffer
	if err := method.WriteSupervision(&file, &method.Supervision{}); err != nil {
		t.Fatal(err)
	}
	got, err := method.ReadSupervision(&file, 1<<16)
	if err != nil || len(got.IDs) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWriteSupervisionRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for want, spoil := range map[string]func(*method.Supervision){
		"occurs twice":                      func(s *method.Supervision) { s.IDs[1] = "a" },
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
		if err := method.WriteSupervision(new(bytes.Buffer), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestReadSupervisionRefuses(t *testing.T) {
	var file bytes.Buffer
	if err := method.WriteSupervision(&file, twoRows()); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(ts map[string]*adapter.Tensor, meta map[string]string){
		`metadata "mlecs.supervision.rows"`: func(_ map[string]*adapter.Tensor, meta map[string]string) { clear(meta) },
		"3 rows, but": func(_ map[string]*adapter.Tensor, meta map[string]string) {
			meta["mlecs.supervision.rows"] = `["a","b","c"]`
		},
		"an answer of 4 tokens": func(ts map[string]*adapter.Tensor, _ map[string]string) { ts["soft.lengths"].Data[0] = 4 },
		"tokens are left":       func(ts map[string]*adapter.Tensor, _ map[string]string) { ts["soft.lengths"].Data[0] = 1 },
		"not an integer":        func(ts map[string]*adapter.Tensor, _ map[string]string) { ts["soft.ids"].Data[0] = 0.5 },
		"3 tokens, but":         func(ts map[string]*adapter.Tensor, _ map[string]string) { ts["soft.top_log"].Shape = []int{2, 3} },
	} {
		tensors, meta, err := adapter.ReadTensors(bytes.NewReader(file.Bytes()), 1<<16)
		if err != nil {
			t.Fatal(err)
		}
		byName := map[string]*adapter.Tensor{}
		for i := range tensors {
			byName[tensors[i].Name] = &tensors[i]
		}
		spoil(byName, meta)
		var bad bytes.Buffer
		if err := adapter.WriteTensors(&bad, tensors, meta); err != nil {
			t.Fatal(err)
		}
		if _, err := method.ReadSupervision(&bad, 1<<16); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// FuzzReadSupervision: no input panics, and what is read can be written.
func FuzzReadSupervision(f *testing.F) {
	var file bytes.Buffer
	if err := method.WriteSupervision(&file, twoRows()); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := method.ReadSupervision(bytes.NewReader(raw), 1<<16)
		if err != nil {
			return
		}
		if err := method.WriteSupervision(new(bytes.Buffer), s); err != nil {
			t.Fatal(err)
		}
	})
}

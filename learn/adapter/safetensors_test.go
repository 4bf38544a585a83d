package adapter_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/nlpodyssey/safetensors"
	"pgregory.net/rapid"
)

// drawTensors gives tensors with unique names in name order.
func drawTensors(t *rapid.T) []adapter.Tensor {
	n := rapid.IntRange(0, 5).Draw(t, "tensors")
	tensors := make([]adapter.Tensor, n)
	for i := range tensors {
		shape := rapid.SliceOfN(rapid.IntRange(0, 4), 0, 3).Draw(t, "shape")
		size := 1
		for _, d := range shape {
			size *= d
		}
		name := fmt.Sprintf("%d %s", i, rapid.String().Draw(t, "name"))
		tensors[i] = adapter.Tensor{Name: name, Shape: shape, Data: rapid.SliceOfN(rapid.Float32(), size, size).Draw(t, "data")}
	}
	return tensors
}

func sameTensors(a, b []adapter.Tensor) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d tensors and %d", len(a), len(b))
	}
	for i := range a {
		if a[i].Name != b[i].Name || fmt.Sprint(a[i].Shape) != fmt.Sprint(b[i].Shape) || len(a[i].Data) != len(b[i].Data) {
			return fmt.Errorf("%q %v and %q %v", a[i].Name, a[i].Shape, b[i].Name, b[i].Shape)
		}
		for j := range a[i].Data {
			if math.Float32bits(a[i].Data[j]) != math.Float32bits(b[i].Data[j]) {
				return fmt.Errorf("%q: value %d is %v and %v", a[i].Name, j, a[i].Data[j], b[i].Data[j])
			}
		}
	}
	return nil
}

func TestTensorsRoundTripAndAgreeWithTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tensors := drawTensors(t)
		meta := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "metadata")
		var file, again bytes.Buffer
		if err := adapter.WriteTensors(&file, tensors, meta); err != nil {
			t.Fatal(err)
		}
		reversed := rapid.Permutation(tensors).Draw(t, "order")
		if err := adapter.WriteTensors(&again, reversed, meta); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(file.Bytes(), again.Bytes()) {
			t.Fatal("the order of tensors changed the bytes")
		}
		if n := binary.LittleEndian.Uint64(file.Bytes()); n%8 != 0 {
			t.Fatalf("header of %d bytes is not aligned", n)
		}
		got, gotMeta, err := adapter.ReadTensors(iotest.HalfReader(bytes.NewReader(file.Bytes())), int64(file.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if err := sameTensors(got, tensors); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(gotMeta) != fmt.Sprint(meta) {
			t.Fatalf("metadata %q, want %q", gotMeta, meta)
		}
		if _, _, err := adapter.ReadTensors(bytes.NewReader(file.Bytes()), int64(file.Len()-1)); err == nil {
			t.Fatal("the limit did not hold")
		}
		theirs, err := safetensors.Deserialize(file.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range tensors {
			view, ok := theirs.Tensor(x.Name)
			if !ok || view.DataLen() != uint64(4*len(x.Data)) {
				t.Fatalf("the library does not read tensor %q", x.Name)
			}
		}
	})
}

func TestReadTensorsOfTheLibrary(t *testing.T) {
	half := func(bits ...uint16) []byte {
		var b []byte
		for _, x := range bits {
			b = binary.LittleEndian.AppendUint16(b, x)
		}
		return b
	}
	view := func(d safetensors.DType, raw []byte) safetensors.TensorView {
		v, err := safetensors.NewTensorView(d, []uint64{uint64(len(raw)) / d.Size()}, raw)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	file, err := safetensors.Serialize(map[string]safetensors.TensorView{
		"f16":  view(safetensors.F16, half(0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0x7c00, 0x03ff)),
		"bf16": view(safetensors.BF16, half(0x3f80, 0xc000, 0x7f7f, 0x0001)),
		"f32":  view(safetensors.F32, binary.LittleEndian.AppendUint32(nil, math.Float32bits(0.1))),
	}, map[string]string{"format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	got, meta, err := adapter.ReadTensors(bytes.NewReader(file), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	inf, negZero := float32(math.Inf(1)), float32(math.Copysign(0, -1))
	want := []adapter.Tensor{
		{Name: "bf16", Shape: []int{4}, Data: []float32{1, -2, 3.3895314e38, math.Float32frombits(1 << 16)}},
		{Name: "f16", Shape: []int{7}, Data: []float32{1, -2, 65504, 0x1p-24, negZero, inf, 0x3ffp-24}},
		{Name: "f32", Shape: []int{1}, Data: []float32{0.1}},
	}
	if err := sameTensors(got, want); err != nil {
		t.Error(err)
	}
	if meta["format"] != "pt" {
		t.Errorf("metadata %q", meta)
	}
}

// file puts a length prefix before header and data after it.
func file(header, data string) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + data
}

var badFiles = map[string]struct{ file, want string }{
	"empty":            {"", "reading the header's length"},
	"huge header":      {"\xff\xff\xff\xff\xff\xff\xff\xff", "the header claims"},
	"short header":     {file(`{}`, "")[:9], "ends within its header"},
	"not json":         {file(`{a`, ""), "not JSON"},
	"array":            {file(`[]`, ""), "object must start"},
	"number key":       {file(`{1:2}`, ""), "not JSON"},
	"after the object": {file(`{} {}`, ""), "does not end after its object"},
	"duplicate":        {file(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`, ""), `"a" occurs twice`},
	"metadata twice":   {file(`{"__metadata__":{"k":"1","k":"2"}}`, ""), `"k" occurs twice`},
	"metadata number":  {file(`{"__metadata__":{"k":1}}`, ""), `metadata "k"`},
	"metadata null":    {file(`{"__metadata__":{"k":null}}`, ""), `"k" is null`},
	"null tensor":      {file(`{"a":null}`, ""), `tensor "a": the header needs`},
	"unknown field":    {file(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"x":1}}`, ""), `tensor "a"`},
	"unknown dtype":    {file(`{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}`, "12345678"), `dtype "I64"`},
	"negative":         {file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}`, ""), "dimension -1"},
	"overflow":         {file(`{"a":{"dtype":"F32","shape":[2147483647,2147483647,2147483647],"data_offsets":[0,0]}}`, ""), "too many elements"},
	"over the limit":   {file(`{"a":{"dtype":"F32","shape":[1000000],"data_offsets":[0,4000000]}}`, ""), "does not fit"},
	"offsets":          {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}`, "12345678"), "do not hold"},
	"gap":              {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, "12345678"), "starts at 4"},
	"overlap":          {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "1234"), `"b" starts at 0`},
	"short data":       {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, "1234"), `reading tensor "a"`},
	"trailing":         {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "12345"), "bytes follow"},
}

func TestReadTensorsRefuses(t *testing.T) {
	for name, c := range badFiles {
		_, _, err := adapter.ReadTensors(strings.NewReader(c.file), 1<<16)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

func TestWriteTensorsRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		tensors []adapter.Tensor
		meta    map[string]string
		want    string
	}{
		"twice":        {[]adapter.Tensor{{Name: "a", Shape: []int{0}}, {Name: "a", Shape: []int{0}}}, nil, "used twice"},
		"reserved":     {[]adapter.Tensor{{Name: "__metadata__", Shape: []int{0}}}, nil, "reserved"},
		"short data":   {[]adapter.Tensor{{Name: "a", Shape: []int{2}, Data: []float32{1}}}, nil, "1 values for shape [2]"},
		"not utf-8":    {[]adapter.Tensor{{Name: "\xff", Shape: []int{0}}}, nil, "not UTF-8"},
		"big metadata": {nil, map[string]string{"k": strings.Repeat("x", 17<<20)}, "at most"},
	} {
		err := adapter.WriteTensors(io.Discard, c.tensors, c.meta)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

// FuzzReadTensors: no input panics, and what is read can be written and read again.
func FuzzReadTensors(f *testing.F) {
	for _, c := range badFiles {
		f.Add([]byte(c.file))
	}
	f.Add([]byte(file(`{"__metadata__":{"k":"v"},"b":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[],"data_offsets":[4,8]}}  `, "12345678")))
	f.Fuzz(func(t *testing.T, data []byte) {
		tensors, meta, err := adapter.ReadTensors(bytes.NewReader(data), 1<<20)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := adapter.WriteTensors(&out, tensors, meta); err != nil {
			t.Fatal(err)
		}
		again, _, err := adapter.ReadTensors(&out, int64(out.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if err := sameTensors(again, tensors); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSkippedTensorsMayBeOfAnyType(t *testing.T) {
	header := `{"mask":{"dtype":"BOOL","shape":[3],"data_offsets":[4,7]},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	file = append(append(file, header...), 0, 0, 0x80, 0x3f, 1, 1, 0)
	skip := func(name string) bool { return name == "mask" }
	tensors, _, err := adapter.ReadTensorsExcept(bytes.NewReader(file), int64(len(file)), skip)
	if err != nil || len(tensors) != 1 || tensors[0].Name != "w" || tensors[0].Data[0] != 1 {
		t.Errorf("tensors %v, error %v", tensors, err)
	}
	if _, _, err := adapter.ReadTensorsExcept(bytes.NewReader(file[:len(file)-1]), int64(len(file)), skip); err == nil {
		t.Error("a file that ends within a skipped tensor was read")
	}
	if _, _, err := adapter.ReadTensors(bytes.NewReader(file), int64(len(file))); err == nil || !strings.Contains(err.Error(), `"mask"`) {
		t.Errorf("error %v, want one that names the mask", err)
	}
}

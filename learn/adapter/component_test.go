package adapter_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"pgregory.net/rapid"
)

func lora(values ...float32) adapter.Component {
	ts := []adapter.Tensor{{Name: "a", Shape: []int{len(values)}, Data: values}}
	return adapter.Component{Name: "lora", Signature: adapter.Signature(ts, "base"), Tensors: ts}
}

func TestSignatureSeesStructureOnly(t *testing.T) {
	a := adapter.Tensor{Name: "a", Shape: []int{2}, Data: []float32{1, 2}}
	b := adapter.Tensor{Name: "b", Shape: []int{1, 2}, Data: []float32{3, 4}}
	want := adapter.Signature([]adapter.Tensor{a, b}, "base", "16")
	changed := a
	changed.Data = []float32{9, 9}
	if got := adapter.Signature([]adapter.Tensor{b, changed}, "base", "16"); got != want {
		t.Error("order and values of tensors entered the signature")
	}
	reshaped, renamed := b, b
	reshaped.Shape, renamed.Name = []int{2, 1}, "c"
	for name, other := range map[string]string{
		"shape":       adapter.Signature([]adapter.Tensor{a, reshaped}, "base", "16"),
		"name":        adapter.Signature([]adapter.Tensor{a, renamed}, "base", "16"),
		"missing":     adapter.Signature([]adapter.Tensor{a}, "base", "16"),
		"extra":       adapter.Signature([]adapter.Tensor{a, b}, "base", "8"),
		"extra order": adapter.Signature([]adapter.Tensor{a, b}, "16", "base"),
		"extra join":  adapter.Signature([]adapter.Tensor{a, b}, "base16"),
	} {
		if other == want {
			t.Errorf("%s: the same signature", name)
		}
	}
}

func TestComponentFileRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := adapter.Component{Name: "encoder/" + rapid.String().Draw(t, "name"), Tensors: drawTensors(t)}
		c.Signature = adapter.Signature(c.Tensors)
		var file bytes.Buffer
		if err := adapter.Write(&file, c); err != nil {
			t.Fatal(err)
		}
		got, err := adapter.Read(&file, int64(file.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if err := adapter.SameStructure(got, c); err != nil {
			t.Fatal(err)
		}
		if got.Params() != c.Params() {
			t.Fatalf("%d parameters, want %d", got.Params(), c.Params())
		}
	})
}

func TestReadRefusesBadComponents(t *testing.T) {
	encode := func(meta map[string]string, values ...float32) []byte {
		var b bytes.Buffer
		if err := adapter.WriteTensors(&b, lora(values...).Tensors, meta); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	meta := map[string]string{"mlecs.component": "lora", "mlecs.signature": "00"}
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"no name":  {encode(nil, 1), "name or signature is empty"},
		"nan":      {encode(meta, 1, float32(math.NaN())), `tensor "a": value 1 is NaN`},
		"infinite": {encode(meta, float32(math.Inf(-1))), "value 0 is -Inf"},
	} {
		if _, err := adapter.Read(bytes.NewReader(c.file), 1<<20); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

func TestCloneIsDeep(t *testing.T) {
	c := lora(1, 2)
	d := c.Clone()
	d.Tensors[0].Data[0], d.Tensors[0].Shape[0], d.Tensors[0].Name = 9, 9, "z"
	if x := c.Tensors[0]; x.Data[0] != 1 || x.Shape[0] != 2 || x.Name != "a" {
		t.Errorf("the original changed: %+v", x)
	}
}

func TestSameStructureNamesTheDifference(t *testing.T) {
	c := lora(1, 2)
	forged := lora(1, 2, 3)
	forged.Signature = c.Signature
	more := c.Clone()
	more.Tensors = append(more.Tensors, adapter.Tensor{Name: "b"})
	other := c.Clone()
	other.Name = "encoder/image"
	for want, d := range map[string]adapter.Component{
		`tensor "a" [3] is not "a" [2]`:   forged,
		"2 tensors, not 1":                more,
		`"lora" and "encoder/image"`:      other,
		"is not " + c.Signature + ": str": lora(1, 2, 3),
	} {
		err := adapter.SameStructure(c, d)
		if !errors.Is(err, adapter.ErrStructure) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if err := adapter.SameStructure(c, lora(7, 8)); err != nil {
		t.Error(err)
	}
}

func TestKind(t *testing.T) {
	for name, want := range map[string]string{"lora": "lora", "encoder/image": "encoder", "connector/a+b": "connector"} {
		if got := adapter.Kind(name); got != want {
			t.Errorf("Kind(%q) = %q, want %q", name, got, want)
		}
	}
}

package node

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

func component(values ...float32) adapter.Component {
	tensors := []adapter.Tensor{{Name: "a", Shape: []int{len(values)}, Data: values}}
	return adapter.Component{Name: "lora", Signature: adapter.Signature(tensors), Tensors: tensors}
}

// put stores c in codec, whose setting is its name.
func put(t *testing.T, s *storage.Store, codec string, c adapter.Component) record.Component {
	t.Helper()
	parsed, err := adapter.ParseCodec(codec)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := parsed.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	rc, err := putComponent(s, c, method.Blob{Codec: codec, Bytes: raw})
	if err != nil {
		t.Fatal(err)
	}
	return rc
}

func TestComponentTravels(t *testing.T) {
	s := newStore(t)
	want := component(1, -2.5, 3)
	c := put(t, s, adapter.CodecBF16, want)
	if err := checkComponent(c, adapter.CodecBF16); err != nil {
		t.Fatal(err)
	}
	got, err := readComponent(s, c, adapter.Component{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != want.Name || got.Signature != want.Signature || len(got.Tensors) != 1 || got.Tensors[0].Data[1] != -2.5 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestComponentThatLiesIsLeftOut(t *testing.T) {
	s := newStore(t)
	honest := put(t, s, adapter.CodecSafetensors, component(1, 2, 3))
	raw := func(b []byte) record.Blob {
		blob, err := s.PutBlobBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		return blob
	}
	var nan bytes.Buffer
	bad := component(1, 2, 3)
	bad.Tensors[0].Data[1] = float32(math.NaN())
	if err := adapter.WriteTensors(&nan, bad.Tensors, map[string]string{"name": bad.Name, "signature": bad.Signature}); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name   string
		change func(*record.Component)
	}{
		{"another codec", func(c *record.Component) { c.Codec = "zip" }},
		{"no parameters", func(c *record.Component) { c.Params = 0 }},
		{"more bytes than the parameters need", func(c *record.Component) { c.Blob.Bytes = 4*c.Params + headerSlack + 1 }},
		{"more parameters than its bytes can hold", func(c *record.Component) { c.Params = mostPerByte*c.Blob.Bytes + 1 }},
		{"more bytes than any component", func(c *record.Component) { c.Blob.Bytes, c.Params = maxComponent+1, maxComponent }},
		{"another name", func(c *record.Component) { c.Name = "encoder/image" }},
		{"another signature", func(c *record.Component) { c.Signature = "other" }},
		{"more parameters than there are", func(c *record.Component) { c.Params++ }},
		{"no tensors at all", func(c *record.Component) { c.Blob = raw([]byte("garbage")) }},
		{"a value that is no number", func(c *record.Component) { c.Blob = raw(nan.Bytes()) }},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := honest
			tc.change(&c)
			err := checkComponent(c, adapter.CodecSafetensors)
			if err == nil {
				_, err = readComponent(s, c, adapter.Component{})
			}
			if !errors.Is(err, errBadBlob) || !strings.Contains(err.Error(), c.Name) {
				t.Errorf("got %v, want errBadBlob that names %s", err, c.Name)
			}
		})
	}
}

func TestDifferenceIsAddedToItsReference(t *testing.T) {
	s := newStore(t)
	c := put(t, s, adapter.CodecTopK, component(0, 0.5, 0))
	got, err := readComponent(s, c, component(1, 2, 3))
	if err != nil || got.Tensors[0].Data[1] != 2.5 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := readComponent(s, c, component(1, 2, 3, 4)); !errors.Is(err, errBadBlob) {
		t.Errorf("a reference of another size: %v", err)
	}
}

func TestComponentThatIsMissingIsNotBad(t *testing.T) {
	c := put(t, newStore(t), adapter.CodecSafetensors, component(1))
	if _, err := readComponent(newStore(t), c, adapter.Component{}); !errors.Is(err, storage.ErrNotFound) || errors.Is(err, errBadBlob) {
		t.Errorf("got %v, want ErrNotFound only", err)
	}
}

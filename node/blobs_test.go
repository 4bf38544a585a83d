package node

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

func component(values ...float32) adapter.Component {
	tensors := []adapter.Tensor{{Name: "a", Shape: []int{len(values)}, Data: values}}
	return adapter.Component{Name: "lora", Signature: adapter.Signature(tensors), Tensors: tensors}
}

func TestComponentTravels(t *testing.T) {
	s := newStore(t)
	want := component(1, -2.5, 3)
	c, err := putComponent(s, want)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkComponent(c); err != nil {
		t.Fatal(err)
	}
	got, err := readComponent(s, c)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != want.Name || got.Signature != want.Signature || len(got.Tensors) != 1 || got.Tensors[0].Data[1] != -2.5 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestComponentThatLiesIsLeftOut(t *testing.T) {
	s := newStore(t)
	honest, err := putComponent(s, component(1, 2, 3))
	if err != nil {
		t.Fatal(err)
	}
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
			err := checkComponent(c)
			if err == nil {
				_, err = readComponent(s, c)
			}
			if !errors.Is(err, errBadBlob) || !strings.Contains(err.Error(), c.Name) {
				t.Errorf("got %v, want errBadBlob that names %s", err, c.Name)
			}
		})
	}
}

func TestComponentThatIsMissingIsNotBad(t *testing.T) {
	c, err := putComponent(newStore(t), component(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readComponent(newStore(t), c); !errors.Is(err, storage.ErrNotFound) || errors.Is(err, errBadBlob) {
		t.Errorf("got %v, want ErrNotFound only", err)
	}
}

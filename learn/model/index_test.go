package model

import (
	"path/filepath"
	"slices"
	"testing"
)

func TestIndexListsShardsInOrder(t *testing.T) {
	shards, err := decodeIndex([]byte(`{"metadata":{"total_size":4},"weight_map":{"b":"2.safetensors","c":"1.safetensors","a":"2.safetensors"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []shard{{"1.safetensors", []string{"c"}}, {"2.safetensors", []string{"a", "b"}}}
	if !slices.EqualFunc(shards, want, func(a, b shard) bool { return a.file == b.file && slices.Equal(a.tensors, b.tensors) }) {
		t.Errorf("%v, want %v", shards, want)
	}
}

// FuzzIndex: no index panics or names a file outside its folder.
func FuzzIndex(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `{"weight_map":{"a":"x.safetensors"}}`, `{"weight_map":{"a":"../x.safetensors"}}`, `{"weight_map":{"a":"/etc/x.safetensors"}}`,
		`{"weight_map":{"a":"..\\x.safetensors"}}`, `{"weight_map":{"a":".safetensors","b":""}}`, `{"weight_map":{"a":7}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		shards, err := decodeIndex(raw)
		if err != nil {
			return
		}
		for _, s := range shards {
			if filepath.Dir(filepath.Join("/models", s.file)) != "/models" || len(s.tensors) == 0 {
				t.Fatalf("%q", s.file)
			}
		}
	})
}

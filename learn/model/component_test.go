package model_test

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
)

func TestComponents(t *testing.T) {
	base, s := tiny(t, 1), spec()
	m := newModel(t, base, s)
	var names []string
	for _, c := range m.Components() {
		names = append(names, c.Name)
		if c.Signature == "" || len(c.Tensors) == 0 {
			t.Errorf("component %s is empty", c.Name)
		}
	}
	want := []string{"lora", "encoder/camera", "connector/camera", "encoder/motion", "connector/motion", "encoder/note", "connector/note", "connector"}
	if !slices.Equal(names, want) {
		t.Fatalf("components %v, want %v", names, want)
	}
	lora := m.Components()[0]
	if name := "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight"; lora.Tensors[0].Name != name {
		t.Errorf("first tensor %s, want %s as PEFT names it", lora.Tensors[0].Name, name)
	}

	lora.Tensors[0].Data[0] = 42
	if m.Components()[0].Tensors[0].Data[0] == 42 {
		t.Error("Components hands out the model's own memory")
	}
	if err := m.SetComponent(lora); err != nil {
		t.Fatal(err)
	}
	lora.Tensors[0].Data[0] = 43
	if got := m.Components()[0].Tensors[0].Data[0]; got != 42 {
		t.Errorf("value %v after SetComponent, want 42", got)
	}

	wrong := lora.Clone()
	wrong.Tensors[1].Shape = []int{1, len(wrong.Tensors[1].Data)}
	err := m.SetComponent(wrong)
	if !errors.Is(err, adapter.ErrStructure) || !strings.Contains(err.Error(), wrong.Tensors[1].Name) {
		t.Errorf("component of another shape: %v, want an error that names the tensor", err)
	}
	nan := lora.Clone()
	nan.Tensors[0].Data[0] = float32(math.NaN())
	if err := m.SetComponent(nan); err == nil {
		t.Error("a component with NaN was taken in")
	}
	if err := m.SetComponent(adapter.Component{Name: "encoder/nose"}); !errors.Is(err, adapter.ErrStructure) {
		t.Errorf("unknown component: %v", err)
	}
}

// TestSamePartsAtEveryNode: nodes of one seed begin with the same encoders, and the same way from them to the soft prompts, whatever else
// they have, so that a first mean makes sense.
func TestSamePartsAtEveryNode(t *testing.T) {
	base, s := tiny(t, 1), spec()
	all := map[string]adapter.Component{}
	for _, c := range newModel(t, base, s).Components() {
		all[c.Name] = c
	}
	s.Modalities = s.Modalities[1:2]
	one := newModel(t, base, s).Components()
	if len(one) != 4 {
		t.Fatalf("%d components of a node with one modality, want lora, encoder, its connector, and the connector", len(one))
	}
	for _, c := range one {
		if !reflect.DeepEqual(c, all[c.Name]) {
			t.Errorf("%s differs between a node with three modalities and a node with one", c.Name)
		}
	}
}

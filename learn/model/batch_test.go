package model_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/model"
)

func TestBadBatches(t *testing.T) {
	base, s := tiny(t, 1), spec()
	m := newModel(t, base, s)
	for _, test := range []struct {
		name   string
		change func(b *model.Batch)
		want   string
	}{
		{"no rows", func(b *model.Batch) { *b = model.Batch{} }, "no rows"},
		{"row counts", func(b *model.Batch) { b.Text = b.Text[:2] }, "Text has 2 rows"},
		{"input size", func(b *model.Batch) { b.Inputs["motion"][1] = make([]float32, 7) }, "row 1 of modality motion"},
		{"unknown token", func(b *model.Batch) { b.Target[2] = []int{1 << 20} }, "target of row 2"},
		{"negative token", func(b *model.Batch) { b.Text[0] = []int{-1} }, "text of row 0"},
		{"ragged anchors", func(b *model.Batch) { b.Anchor[1] = b.Anchor[1][:3] }, "anchor of row 1"},
		{"soft target twice", func(b *model.Batch) { b.Soft[1].TopIDs[0] = []int{4, 4} }, "soft target of row 1"},
		{"soft target not a logarithm", func(b *model.Batch) { b.Soft[1].TopLog[0][0] = 3 }, "no log-probability"},
		{"nothing to learn", func(b *model.Batch) { b.Target, b.Soft, b.Anchor = nil, nil, nil }, "no target"},
		{"infinite input", func(b *model.Batch) { b.Inputs["motion"][1][0] = float32(math.Inf(1)) }, "nothing was changed"},
		{"NaN anchor", func(b *model.Batch) { b.Anchor[1][0] = float32(math.NaN()) }, "nothing was changed"},
	} {
		b := rows(base, s, 4)
		b.Soft = soft(b, 2)
		test.change(&b)
		before := state(t, m)
		_, err := m.Step(b, everything(model.ContrastSimilarity), 0)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.want)
		}
		if !bytes.Equal(state(t, m), before) {
			t.Errorf("%s: the model changed", test.name)
		}
	}
}

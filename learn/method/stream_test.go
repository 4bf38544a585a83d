package method

import (
	"fmt"
	"sync"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
)

// A mean opens every part once, in the order of digests, and a few at a time: the memory that parts are decoded into is used again.
func TestMeansAreStreams(t *testing.T) {
	const count = 40
	var mu sync.Mutex
	rooms, opened := map[*adapter.Decoder]bool{}, map[int]int{}
	var inputs []Input
	for i := range count {
		c := component("lora", float32(i))
		inputs = append(inputs, Input{ID: fmt.Sprint(i), Rows: 1, Modalities: []string{"a"}, Parts: []Part{{
			Name: c.Name, Signature: c.Signature, Digest: [32]byte{byte(7 * i % count)},
			Open: func(d *adapter.Decoder) (adapter.Component, error) {
				mu.Lock()
				defer mu.Unlock()
				rooms[d] = true
				opened[i]++
				return c, nil
			},
		}}})
	}
	out, _, _, err := aggregate(RuleModalityRows, inputs, byRows(1), nil, 0, everything)
	if err != nil {
		t.Fatal(err)
	}
	for k, i := range out[0].Inputs {
		if 7*i%count != k || opened[i] != 1 {
			t.Errorf("input %d is number %d of the sum, and was opened %d times", i, k, opened[i])
		}
	}
	if len(out[0].Inputs) != count || len(rooms) > 4 {
		t.Errorf("%d inputs were decoded into %d places", len(out[0].Inputs), len(rooms))
	}
}

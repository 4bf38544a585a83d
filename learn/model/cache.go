package model

import "slices"

// cacheBudget is how many float32 of activations the graphs of a kind may hold, as estimated: 512 MiB.
const cacheBudget = 1 << 27

// cache keeps the most recently used graphs within the budget, and at least the last one.
type cache[K comparable, V any] struct {
	entries []cacheEntry[K, V] // the most recently used last
	total   int
}

type cacheEntry[K comparable, V any] struct {
	key   K
	value V
	cost  int
}

// get gives the value of key, making it if needed.
func (c *cache[K, V]) get(key K, cost int, build func() (V, error)) (V, error) {
	at := slices.IndexFunc(c.entries, func(e cacheEntry[K, V]) bool { return e.key == key })
	if at >= 0 {
		e := c.entries[at]
		c.entries = append(slices.Delete(c.entries, at, at+1), e)
		return e.value, nil
	}
	for len(c.entries) > 0 && c.total+cost > cacheBudget {
		c.total -= c.entries[0].cost
		c.entries = slices.Delete(c.entries, 0, 1)
	}
	v, err := build()
	if err != nil {
		return v, err
	}
	c.entries = append(c.entries, cacheEntry[K, V]{key, v, cost})
	c.total += cost
	return v, nil
}

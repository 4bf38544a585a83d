package model

import "slices"

// cacheSize is how many graphs of a kind a model keeps: each holds the activations of a whole batch.
const cacheSize = 6

// cache keeps the most recently used values.
type cache[K comparable, V any] struct {
	keys   []K // the most recently used last
	values map[K]V
}

// get gives the value of key, making it if needed.
func (c *cache[K, V]) get(key K, build func() (V, error)) (V, error) {
	if v, ok := c.values[key]; ok {
		at := slices.Index(c.keys, key)
		c.keys = append(slices.Delete(c.keys, at, at+1), key)
		return v, nil
	}
	v, err := build()
	if err != nil {
		return v, err
	}
	if c.values == nil {
		c.values = make(map[K]V)
	}
	if len(c.keys) == cacheSize {
		delete(c.values, c.keys[0])
		c.keys = slices.Delete(c.keys, 0, 1)
	}
	c.keys = append(c.keys, key)
	c.values[key] = v
	return v, nil
}

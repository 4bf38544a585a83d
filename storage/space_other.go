//go:build !(linux || darwin || freebsd)

package storage

import "math"

// freeBytes cannot be told here, so nothing is refused.
func freeBytes(string) (int64, error) { return math.MaxInt64, nil }

//go:build !linux

package bench

import "time"

// processorTime is the time itself, where the system does not tell what a process has used of the processors.
func processorTime() time.Duration { return time.Since(begin) }

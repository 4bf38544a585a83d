//go:build !linux

package node

// clockSynchronised is not known here.
func clockSynchronised() *bool { return nil }

// availableMemory is not known here.
func availableMemory() int64 { return 0 }

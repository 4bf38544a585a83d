//go:build !linux

package chaos

import "errors"

func mountMemory(string, int64) error {
	return errors.New("disks in memory are for Linux only")
}

func unmountMemory(string) error { return nil }
func unmountBelow(string) error  { return nil }

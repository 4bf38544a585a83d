package storage

import (
	"os"
	"path/filepath"
)

// removeNewborn deletes logs of the index that a kill has left between their creation and their first byte. Badger takes the first open of
// such a file for a failure. Nothing that was acknowledged can be in them.
func (s *Store) removeNewborn() error {
	for _, pattern := range []string{"*.vlog", "*.mem"} {
		paths, err := filepath.Glob(filepath.Join(s.indexDir(), pattern))
		if err != nil {
			return err
		}
		for _, path := range paths {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			if info.Size() > 0 {
				continue
			}
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

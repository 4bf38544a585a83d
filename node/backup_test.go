package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/mlecs/mlecs/storage/record"
)

// TestBackupWhileKeysChange: keys that are not those of the moment of the index are in no backup.
func TestBackupWhileKeysChange(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 1, Quorum: 1, Min: 1, Deadline: 60_000})
	home := c.nodes["super"].home
	key, file := home.path(founderFile), filepath.Join(t.TempDir(), "backup.tar")
	founders, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	changing, err := os.OpenFile(key, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer changing.Close()
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		for i := 0; err == nil; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
				_, err = changing.WriteAt(fmt.Appendf(nil, "%020d", i), 0)
			}
		}
		stopped <- err
	}()
	_, err = home.Backup(t.Context(), file)
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, errKeysChanged) {
		t.Errorf("backup while keys change: %v", err)
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it left a file: %v", err)
	}
	if err := os.WriteFile(key, founders, 0o600); err != nil {
		t.Fatal(err)
	}
	if size, err := home.Backup(t.Context(), file); err != nil || size == 0 {
		t.Errorf("backup afterwards: %d bytes, %v", size, err)
	}
}

package chaos

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mlecs/mlecs/storage"
)

// disks are small file systems in memory for the homes of some nodes.
type disks struct {
	sizes   map[string]int64  // as the script says, by node
	mounted map[string]string // homes, by node
}

// fillerName is the file that takes up a disk.
const fillerName = "filler"

// newDisks prepares what the script asks for, and takes away what a run that was killed has left in the testnet's folder.
func newDisks(out string, sizes map[string]int64, unprivileged bool) (disks, error) {
	d := disks{sizes: sizes, mounted: map[string]string{}}
	if err := unmountBelow(out); err != nil {
		return d, fmt.Errorf("take away disks that an earlier run left: %w", err)
	}
	if len(sizes) > 0 && (unprivileged || os.Geteuid() != 0) {
		return d, errors.New("a disk of its own for a node takes root: run the scenario as root, in a container say")
	}
	return d, nil
}

// mount gives a node its disk, if the script wants one for it.
func (d disks) mount(name, home string) error {
	size, ok := d.sizes[name]
	if !ok {
		return nil
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	if err := mountMemory(home, size); err != nil {
		return fmt.Errorf("mount a disk of %d MiB on %s: %w", size>>20, home, err)
	}
	d.mounted[name] = home
	return nil
}

// fill writes a file until so many bytes are free.
func (d disks) fill(name string, leave int64) (string, error) {
	home, ok := d.mounted[name]
	if !ok {
		return "", fmt.Errorf("it has no disk of its own: the script must begin with a line that says: disk %s SIZE", name)
	}
	f, err := os.OpenFile(filepath.Join(home, fillerName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer f.Close()
	before, err := storage.FreeBytes(home)
	if err != nil {
		return "", err
	}
	block := make([]byte, 64<<10)
	for free := before; free > leave; {
		n, err := f.Write(block[:min(int64(len(block)), free-leave)])
		if err != nil || n == 0 {
			break // full
		}
		if free, err = storage.FreeBytes(home); err != nil {
			return "", err
		}
	}
	after, err := storage.FreeBytes(home)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%.1f MiB were free of %d, %.1f are left", float64(before)/(1<<20), d.sizes[name]>>20, float64(after)/(1<<20)), nil
}

// free takes the file away.
func (d disks) free(name string) error {
	home, ok := d.mounted[name]
	if !ok {
		return errors.New("it has no disk of its own")
	}
	return os.Remove(filepath.Join(home, fillerName))
}

// close takes the disks away; what was in the homes stays where they were mounted.
func (d disks) close() error {
	var errs []error
	for name, home := range d.mounted {
		kept := home + ".kept"
		err := copyTree(kept, home)
		if err == nil {
			err = unmountMemory(home)
		}
		if err == nil {
			err = os.Remove(home)
		}
		if err == nil {
			err = os.Rename(kept, home)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("take away the disk of %s: %w", name, errors.Join(err, unmountMemory(home))))
		}
	}
	clear(d.mounted)
	return errors.Join(errs...)
}

// copyTree copies folders and regular files, the file that took up the disk left out.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		case !entry.Type().IsRegular() || name == fillerName:
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), b, 0o600)
	})
}

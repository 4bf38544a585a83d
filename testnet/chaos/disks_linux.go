package chaos

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func mountMemory(dir string, size int64) error {
	return unix.Mount("mlecs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("size=%d,mode=0700", size))
}

// unmountMemory is no error if nothing is mounted there. A file that is still open does not keep it.
func unmountMemory(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// unmountBelow takes away this package's disks below a folder.
func unmountBelow(dir string) error {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil // no /proc: nothing was mounted by us
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) > 2 && fields[0] == "mlecs" && fields[2] == "tmpfs" && strings.HasPrefix(fields[1], dir+"/") {
			if err := unmountMemory(fields[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

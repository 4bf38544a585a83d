//go:build unix

package chaos

import "syscall"

// freeze stops a process at the instruction where it is, or lets it go on.
func freeze(pid int, on bool) error {
	if on {
		return syscall.Kill(pid, syscall.SIGSTOP)
	}
	return syscall.Kill(pid, syscall.SIGCONT)
}

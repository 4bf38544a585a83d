package testnet

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// apart makes cmd run in a process group of its own, which a console's interrupt does not reach.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// exists tells whether there is a process pid.
func exists(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	p.Release()
	return true
}

// terminate is not to be had: a process is asked over its control API, or killed.
func terminate(int) error { return errors.ErrUnsupported }

// kill ends a process at once.
func kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	defer p.Release()
	return p.Kill()
}

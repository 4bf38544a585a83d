package testnet

import (
	"context"
	"io"
	"os"
	"strconv"
)

// leashVariable names the file descriptor of a pipe whose other end the testnet holds.
const leashVariable = "MLECS_LEASH"

// Leash ends the returned context when the testnet that started this process is gone, however it ended: the kernel closes its end of the
// pipe. In a process that no testnet started it changes nothing. It may be called once in a process.
func Leash(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	fd, err := strconv.Atoi(os.Getenv(leashVariable))
	os.Unsetenv(leashVariable) // not for this process's children
	if err != nil || fd < 3 {
		return ctx, cancel
	}
	pipe := os.NewFile(uintptr(fd), "leash")
	if pipe == nil {
		return ctx, cancel
	}
	go func() {
		defer cancel()
		defer pipe.Close()
		io.Copy(io.Discard, pipe) // nothing is ever written: this waits for the end
	}()
	return ctx, cancel
}

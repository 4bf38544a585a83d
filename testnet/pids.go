package testnet

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/mlecs/mlecs/node/api"
)

// patience bounds one question to a node on this machine.
const patience = 5 * time.Second

// askStatus asks the node that runs on home; an error if none does.
func askStatus(home string) (*api.Status, error) {
	client, err := api.Dial(home)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return client.Status(ctx)
}

// startedFor tells whether pid is a process that was started for home, as far as /proc says: pids are used again.
func startedFor(pid int, home string) bool {
	if !alive(pid) {
		return false
	}
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err != nil || bytes.Contains(args, []byte(home))
}

// alive tells whether pid is a process that has not ended.
func alive(pid int) bool {
	if !exists(pid) {
		return false
	}
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		if i := bytes.LastIndexByte(stat, ')'); i >= 0 && i+2 < len(stat) && stat[i+2] == 'Z' {
			return false // ended, and its parent has not looked yet
		}
	}
	return true
}

// stopNode ends what runs on home, kindly first: over the control API, by SIGTERM, by SIGKILL. It returns when nothing runs any more.
func stopNode(ctx context.Context, m Member) error {
	pid, ok := m.running()
	if !ok {
		return nil
	}
	if pid == os.Getpid() {
		return fmt.Errorf("stop %s: it runs inside this process", m.Name)
	}
	ask := func() error {
		client, err := api.Dial(m.Home)
		if err != nil {
			return err
		}
		defer client.Close()
		return client.Stop(ctx)
	}
	for _, step := range []struct {
		try  func() error
		wait time.Duration
	}{
		{ask, 10 * time.Second},
		{func() error { return terminate(pid) }, 10 * time.Second},
		{func() error { return kill(pid) }, 5 * time.Second},
	} {
		if step.try() != nil && alive(pid) {
			continue // not asked: the next way
		}
		if gone(ctx, pid, step.wait) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stop %s: %w", m.Name, err)
		}
	}
	return fmt.Errorf("stop %s: process %d does not end", m.Name, pid)
}

// gone waits until pid has ended.
func gone(ctx context.Context, pid int, wait time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for alive(pid) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return !alive(pid)
		}
	}
	return true
}

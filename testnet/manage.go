package testnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Line is one node as `mlecs testnet ps` shows it.
type Line struct {
	Name   string `json:"name"`
	Role   string `json:"role"`
	State  string `json:"state"` // running, stopped, or not answering
	PID    int    `json:"pid"`   // 0 if stopped
	Round  uint64 `json:"round"` // newest that it knows
	Rounds uint64 `json:"rounds"`
	Phase  string `json:"phase"`
	Peers  int    `json:"peers"` // connected members
	Done   bool   `json:"done"`
	PeerID string `json:"peer_id"`
	Home   string `json:"home"`
}

// Ps tells how every node of the testnet in dir is.
func Ps(ctx context.Context, dir string) ([]Line, error) {
	f, err := OpenFolder(dir)
	if err != nil {
		return nil, err
	}
	lines := make([]Line, len(f.Members))
	var wait sync.WaitGroup
	for i, m := range f.Members {
		wait.Go(func() { lines[i] = m.line(ctx) })
	}
	wait.Wait()
	return lines, nil
}

func (m Member) line(ctx context.Context) Line {
	l := Line{Name: m.Name, Role: m.Role, PeerID: m.PeerID, Home: m.Home, State: "stopped", Phase: "stopped"}
	if pid, ok := m.running(); ok {
		l.State, l.PID, l.Phase = "not answering", pid, "unknown"
	}
	h, err := m.openHome()
	if err != nil {
		return l
	}
	src, closeSource, err := h.Source()
	if err != nil {
		return l
	}
	defer closeSource()
	st, err := src.Status(ctx)
	if err != nil {
		return l
	}
	l.Round, l.Rounds, l.Phase, l.Peers, l.Done = st.Round, st.Rounds, st.Phase, st.Peers, st.Done
	if st.Running {
		l.State, l.PID = "running", st.PID
	}
	return l
}

// Down stops every node of the testnet in dir, and names those that ran.
func Down(ctx context.Context, dir string) (stopped []string, err error) {
	f, err := OpenFolder(dir)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(f.Members))
	ran := make([]bool, len(f.Members))
	var wait sync.WaitGroup
	for i, m := range f.Members {
		wait.Go(func() {
			if _, ran[i] = m.running(); ran[i] {
				errs[i] = stopNode(ctx, m)
			}
		})
	}
	wait.Wait()
	for i, m := range f.Members {
		if ran[i] && errs[i] == nil {
			stopped = append(stopped, m.Name)
		}
	}
	return stopped, errors.Join(errs...)
}

// Logs copies a node's log to w; with follow it goes on until ctx ends.
func Logs(ctx context.Context, dir, name string, follow bool, w io.Writer) error {
	f, err := OpenFolder(dir)
	if err != nil {
		return err
	}
	m, err := f.Member(name)
	if err != nil {
		return err
	}
	log, err := os.Open(m.LogPath())
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer log.Close()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := io.Copy(w, log); err != nil {
			return fmt.Errorf("show the log of %s: %w", name, err)
		}
		if !follow {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

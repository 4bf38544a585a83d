package testnet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/node/api"
)

// inProcess is a Node inside this process: quick to start and seen by the race detector and debuggers. It has no pid of its own, and
// killing it cannot take back what it has in memory only: it is told to stop and not waited for politely.
type inProcess struct {
	name, role, home string

	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

var _ Node = (*inProcess)(nil)

func (p *inProcess) Name() string { return p.name }
func (p *inProcess) Role() string { return p.role }
func (p *inProcess) Home() string { return p.home }
func (p *inProcess) Log() string  { return filepath.Join(p.home, logFile) }

func (p *inProcess) API() (*api.Client, error) { return api.Dial(p.home) }

func (p *inProcess) Join(ctx context.Context, token string) error {
	h, err := node.OpenHome(p.home)
	if err != nil {
		return err
	}
	return h.Join(ctx, token, nil)
}

func (p *inProcess) Start(ctx context.Context) error {
	done, err := p.launch(context.WithoutCancel(ctx))
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	return p.answer(ctx, done)
}

func (p *inProcess) launch(ctx context.Context) (done chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil && !closed(p.done) {
		return nil, errors.New("it runs already")
	}
	h, err := node.OpenHome(p.home)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(p.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done = make(chan struct{})
	p.cancel, p.done, p.err = cancel, done, nil
	go func() {
		defer cancel()
		err := errors.Join(node.Serve(ctx, h, slog.New(slog.NewTextHandler(log, nil))), log.Close())
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(done)
	}()
	return done, nil
}

// answer waits until the node's control API answers, or ends the node.
func (p *inProcess) answer(ctx context.Context, done <-chan struct{}) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := askStatus(p.home); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-done:
			return fmt.Errorf("start %s: %w", p.name, cmp.Or(p.Err(), errors.New("it ended at once")))
		case <-ctx.Done():
			p.Kill()
			return fmt.Errorf("start %s: %w", p.name, context.Cause(ctx))
		}
	}
}

func (p *inProcess) Stop(context.Context) error {
	if err := p.Kill(); err != nil {
		return err
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	return nil
}

func (p *inProcess) Kill() error {
	p.mu.Lock()
	cancel, done := p.cancel, p.done
	p.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
	return nil
}

func (p *inProcess) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel == nil || closed(p.done) {
		return 0
	}
	return os.Getpid()
}

func (p *inProcess) Exited() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

func (p *inProcess) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

package chaos

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// load is what a node's process took of the machine in some time.
type load struct {
	cpu    time.Duration // of all its threads
	wall   time.Duration
	rounds uint64 // that it learned of
	memory int64  // most bytes resident
}

// share is how many processors it kept busy.
func (l load) share() float64 { return l.cpu.Seconds() / l.wall.Seconds() }

// perRound is the processor time of a round.
func (l load) perRound() float64 { return l.cpu.Seconds() / float64(max(l.rounds, 1)) }

// gauge measures nodes' loads until stop is called.
type gauge struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup
	mu     sync.Mutex
	loads  map[string]load
}

// gaugeEvery is how often memory is looked at.
const gaugeEvery = 250 * time.Millisecond

func startGauge(ctx context.Context, list []*subject) *gauge {
	ctx, cancel := context.WithCancel(ctx)
	g := &gauge{cancel: cancel, loads: map[string]load{}}
	for _, s := range list {
		g.wait.Go(func() { g.follow(ctx, s) })
	}
	return g
}

func (g *gauge) follow(ctx context.Context, s *subject) {
	began, first := time.Now(), cpuTime(s.PID())
	var l load
	if st, err := s.status(ctx); err == nil {
		l.rounds = st.Round
	}
	for rest(ctx, gaugeEvery) == nil {
		l.memory = max(l.memory, resident(s.PID()))
	}
	l.cpu, l.wall = cpuTime(s.PID())-first, time.Since(began)
	st, err := s.status(context.Background())
	if err == nil {
		l.rounds = st.Round - l.rounds
	} else {
		l.rounds = 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.loads[s.Name()] = l
}

func (g *gauge) stop() map[string]load {
	g.cancel()
	g.wait.Wait()
	return g.loads
}

// ticksPerSecond of /proc/PID/stat is the same on every Linux that Go runs on.
const ticksPerSecond = 100

// cpuTime is what a process has used, 0 where there is no /proc.
func cpuTime(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, after, ok := strings.Cut(string(b), ") ")
	fields := strings.Fields(after)
	if !ok || len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return time.Duration(user+system) * time.Second / ticksPerSecond
}

// resident is a process's memory in bytes, 0 where there is no /proc.
func resident(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

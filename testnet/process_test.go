package testnet_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/testnet"
)

func TestLeashEndsWithTheTestnet(t *testing.T) {
	end, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(end.Fd())) // the leash closes its own
	if err := errors.Join(err, end.Close()); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MLECS_LEASH", strconv.Itoa(fd))
	ctx, cancel := testnet.Leash(t.Context())
	defer cancel()
	if ctx.Err() != nil {
		t.Fatal("the leash pulls at once")
	}
	if os.Getenv("MLECS_LEASH") != "" {
		t.Error("children would inherit the leash")
	}
	hold.Close()
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute):
		t.Error("the leash does not pull")
	}
}

func TestWithoutALeashNothingEnds(t *testing.T) {
	t.Setenv("MLECS_LEASH", "")
	ctx, cancel := testnet.Leash(t.Context())
	defer cancel()
	if ctx.Err() != nil {
		t.Error("a process that no testnet started must not end")
	}
}

// TestProcesses is the whole thing with real processes, and with faults.
func TestProcesses(t *testing.T) {
	if !*processes {
		t.Skip("runs real processes for about a minute: go test ./testnet -processes")
	}
	var text bytes.Buffer
	o := tiny(t)
	o.Nodes, o.Rounds, o.Steps, o.Text = 3, 14, 14*20, &text
	o.Tuned = batchOf(8)
	o.Deadline = 20 * time.Second
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	net, err := testnet.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := net.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Log(text.String())
		}
	}()
	nodes := map[string]testnet.Node{}
	pids := map[int]bool{os.Getpid(): true}
	for _, n := range net.Nodes() {
		nodes[n.Name()] = n
		if pids[n.PID()] {
			t.Errorf("%s has no pid of its own: %d", n.Name(), n.PID())
		}
		pids[n.PID()] = true
	}
	victim, super := nodes["edge-2"], nodes["super-1"]

	t.Run("a second node on a home is refused", func(t *testing.T) {
		out, err := exec.Command(exe, "start", "--home", nodes["edge-1"].Home()).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "in use by another node") {
			t.Errorf("got %v: %s", err, out)
		}
	})

	id := status(t, victim).PeerID
	within(t, "edge-2 to be amid its second round or later", func() bool {
		st := status(t, victim)
		return st.Round >= 1 && (st.Phase == "ccl" || st.Phase == "amt")
	})
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := status(t, super).Round

	t.Run("the others go on without a killed edge", func(t *testing.T) {
		within(t, "a round without edge-2", func() bool {
			return slices.ContainsFunc(rounds(t, super), func(r api.Round) bool { return r.Round > killed && len(r.Inputs) == 2 })
		})
	})
	t.Run("a killed node's home can be read", func(t *testing.T) {
		inspect(t, victim.Home(), func(src api.Source) {
			deltas, err := src.Deltas(t.Context(), api.Window{})
			if err != nil || len(deltas) == 0 {
				t.Errorf("%d deltas, %v", len(deltas), err)
			}
		})
	})
	t.Run("started again on its home it takes part", func(t *testing.T) {
		if err := victim.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now := status(t, victim).PeerID; now != id {
			t.Errorf("it came back as another peer: %s, was %s", now, id)
		}
		back := status(t, super).Round
		within(t, "an input of edge-2 in a later round", func() bool {
			return slices.ContainsFunc(rounds(t, super), func(r api.Round) bool {
				return r.Round > back && slices.ContainsFunc(r.Inputs, func(in api.Input) bool { return in.Author == id })
			})
		})
	})

	if err := net.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	report, err := net.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Rounds) != o.Rounds {
		t.Errorf("the report has %d rounds, want %d", len(report.Rounds), o.Rounds)
	}
	for _, n := range report.Nodes {
		if n.RougeLsum.Together == nil || n.RougeLsum.Standalone == nil {
			t.Errorf("%s has no final score", n.Name)
		}
	}
	sameDeltas(t, o.Out, report)
	secretsArePrivate(t, o.Out)
}

// TestUpLeavesNodesRunning covers the life of `testnet up`: nodes outlive the call, are found again by their folder, and stop.
func TestUpLeavesNodesRunning(t *testing.T) {
	if !*processes {
		t.Skip("runs real processes: go test ./testnet -processes")
	}
	o := tiny(t)
	if err := testnet.Up(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { testnet.Down(context.Background(), o.Out) })
	lines, err := testnet.Ps(t.Context(), o.Out)
	if err != nil || len(lines) != 3 {
		t.Fatalf("%d nodes, %v", len(lines), err)
	}
	for _, l := range lines {
		if l.State != "running" {
			t.Errorf("%s is %s", l.Name, l.State)
		}
	}
	if _, err := testnet.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "testnet down") {
		t.Errorf("a testnet that runs was replaced: %v", err)
	}
	if stopped, err := testnet.Down(t.Context(), o.Out); err != nil || len(stopped) != 3 {
		t.Errorf("down stopped %v, %v", stopped, err)
	}
}

// TestInterruptedRunLeavesNoProcess ends a run in the middle.
func TestInterruptedRunLeavesNoProcess(t *testing.T) {
	if !*processes {
		t.Skip("runs real processes: go test ./testnet -processes")
	}
	o := tiny(t)
	o.Rounds, o.Steps = 1000, 4000
	ctx, cancel := context.WithCancel(t.Context())
	o.Text = writerFunc(func(b []byte) {
		if strings.Contains(string(b), "round 1 closed") {
			cancel()
		}
	})
	if _, err := testnet.Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was interrupted", err)
	}
	lines, err := testnet.Ps(t.Context(), o.Out)
	if err != nil || len(lines) != 3 {
		t.Fatalf("%d nodes, %v", len(lines), err)
	}
	for _, l := range lines {
		if l.State != "stopped" {
			t.Errorf("%s is %s", l.Name, l.State)
		}
	}
}

func status(t *testing.T, n testnet.Node) *api.Status {
	t.Helper()
	client, err := n.API()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	st, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func rounds(t *testing.T, n testnet.Node) []api.Round {
	t.Helper()
	client, err := n.API()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	list, err := client.Rounds(t.Context(), api.Window{})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

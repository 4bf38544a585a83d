package top

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"

	"github.com/mlecs/mlecs/node/api"
)

// key is what a terminal sends for a key.
func key(name string) tea.KeyPressMsg {
	switch name {
	case "up":
		return tea.KeyPressMsg{Code: tea.KeyUp}
	case "down":
		return tea.KeyPressMsg{Code: tea.KeyDown}
	case "tab":
		return tea.KeyPressMsg{Code: tea.KeyTab}
	case "shift+tab":
		return tea.KeyPressMsg{Code: tea.KeyTab, Mod: tea.ModShift}
	case "esc":
		return tea.KeyPressMsg{Code: tea.KeyEscape}
	}
	return tea.KeyPressMsg{Code: rune(name[0]), Text: name}
}

var began = time.Unix(1_700_000_000, 0)

// federation is a super-peer and edges that have run for some rounds.
func federation(edges int) *model {
	names := []Node{{Name: "super-1"}}
	for i := range edges {
		names = append(names, Node{Name: fmt.Sprintf("edge-%d", i+1)})
	}
	m := newModel(names)
	for i, n := range names {
		role := "edge"
		if i == 0 {
			role = "super"
		}
		for second := range 2 {
			m.Update(polled{i, began.Add(time.Duration(second) * time.Second), &api.Status{
				Name: n.Name, PeerID: "id-" + n.Name, Role: role, FedName: "homes", Round: 3, Rounds: 10, Phase: "amt", StepDone: 10 + 25*second, StepTotal: 100, Loss: 1.25,
				BytesSent: int64(second) * 2048, BytesReceived: int64(second) * 1 << 20,
			}, []api.Peer{{PeerID: "id-super-1", Name: "super-1", Role: "super", Connected: true, RTTMillis: 0.5, Sent: 4096}}})
		}
		m.Update(remembered{i, []api.Round{{Round: 3, Seconds: 8.5, Leader: "id-super-1", Verdict: "checked", Inputs: []api.Input{{Author: "id-edge-1", Weight: 0.5}}}}, &api.Scores{
			Constant:   &api.Score{RougeLsum: 0.4},
			Standalone: []api.RoundScore{{Round: 0, Score: api.Score{RougeLsum: 0.3}}, {Round: 3, Score: api.Score{RougeLsum: 0.6}}},
			Together:   []api.RoundScore{{Round: 0, Score: api.Score{RougeLsum: 0.3}}, {Round: 3, Score: api.Score{RougeLsum: 0.8}}},
		}})
		m.Update(happened{i, api.Event{Kind: api.EventDelta, Time: began.UnixMilli(), Round: 3, Name: "edge-1", Bytes: 2048}})
	}
	return m
}

// screen is what the terminal shows, without colours.
func screen(m *model) string { return ansi.Strip(m.View().Content) }

func TestScreenOf80x24(t *testing.T) {
	m := federation(3)
	for _, c := range []struct {
		name string
		keys []string
		says []string
	}{
		{"at first", nil, []string{"homes", "round 3 of 10", "3 edges, 1 super-peer", ">", "amt", "35%", "1.250", "25.0", "2.0KiB/s", "1.0MiB/s", "together 0.800", "alone 0.600", "constant 0.400", "round 0", "q quit"}},
		{"rounds", []string{"2"}, []string{"8.5 s", "checked", "by super-1", "…edge-1 0.50"}},
		{"peers", []string{"tab"}, []string{"connected", "0.5 ms", "4.0 KiB", "faults 0"}},
		{"events", []string{"tab"}, []string{"delta", "of round 3 by edge-1, 2.0 KiB"}},
		{"back to curves", []string{"tab"}, []string{"together"}},
		{"another node", []string{"down", "down"}, []string{"of edge-2"}},
		{"no further than the last", []string{"down", "down", "down"}, []string{"of edge-3"}},
		{"the one before", []string{"up"}, []string{"of edge-2"}},
		{"help", []string{"?"}, []string{"choose a node", "quit"}},
		{"any key leaves help", []string{"x"}, []string{"of edge-2"}},
		{"paused", []string{"p"}, []string{"paused"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, k := range c.keys {
				if _, cmd := m.Update(key(k)); cmd != nil {
					t.Fatalf("%s gives a command", k)
				}
			}
			got := screen(m)
			for _, want := range c.says {
				if !strings.Contains(got, want) {
					t.Errorf("the screen lacks %q:\n%s", want, got)
				}
			}
			fits(t, m)
		})
	}
	t.Run("what comes while paused is passed over", func(t *testing.T) {
		m.Update(lost{1, errors.New("gone")})
		if m.nodes[1].err != nil {
			t.Error("it changed")
		}
	})
	t.Run("q quits", func(t *testing.T) {
		if _, cmd := m.Update(key("q")); cmd == nil {
			t.Error("it goes on")
		}
	})
}

func TestNodesThatDoNotAnswer(t *testing.T) {
	m := federation(1)
	m.Update(lost{1, errors.New("connect: no node answers\nat all \x1b[2J")})
	if got := screen(m); !strings.Contains(got, "1 do not answer") || !strings.Contains(got, "no node answers") {
		t.Error(got)
	}
	if strings.Contains(m.View().Content, "\x1b[2J") {
		t.Error("an error's text reaches the terminal as a command")
	}
	if got := screen(newModel(nil)); !strings.Contains(got, "no node answers") {
		t.Error(got)
	}
}

// fits wants lines as the terminal has them, and no more.
func fits(t interface{ Errorf(string, ...any) }, m *model) {
	lines := strings.Split(m.View().Content, "\n")
	if len(lines) > m.height {
		t.Errorf("%d lines on a terminal of %d", len(lines), m.height)
	}
	for _, line := range lines {
		if w := ansi.StringWidth(line); w > m.width {
			t.Errorf("%d columns on a terminal of %d: %q", w, m.width, line)
		}
	}
}

// TestFitsEveryTerminal whatever the size, the number of nodes, the keys and the scores.
func TestFitsEveryTerminal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := federation(rapid.IntRange(0, 120).Draw(t, "edges"))
		m.Update(tea.WindowSizeMsg{Width: rapid.IntRange(1, 220).Draw(t, "width"), Height: rapid.IntRange(1, 80).Draw(t, "height")})
		var scores []api.RoundScore
		for i := range rapid.IntRange(1, 30).Draw(t, "rounds") {
			scores = append(scores, api.RoundScore{Round: uint64(i) * rapid.Uint64Range(1, 1<<40).Draw(t, "step"), Score: api.Score{RougeLsum: rapid.Float64().Draw(t, "score")}})
		}
		m.Update(remembered{0, nil, &api.Scores{Together: scores}})
		for _, k := range rapid.SliceOfN(rapid.SampledFrom([]string{"up", "down", "tab", "shift+tab", "1", "2", "3", "4", "?", "p", "g", "G"}), 0, 12).Draw(t, "keys") {
			m.Update(key(k))
		}
		fits(t, m)
	})
}

// fakeNode answers for a while.
type fakeNode struct {
	mu    sync.Mutex
	asked int
}

func (f *fakeNode) Status(context.Context) (*api.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	return &api.Status{Name: "kitchen", Role: "edge", Phase: "amt"}, nil
}
func (f *fakeNode) Peers(context.Context) ([]api.Peer, error) { return nil, nil }
func (f *fakeNode) Rounds(context.Context, api.Window) ([]api.Round, error) {
	return []api.Round{{Round: 1}}, nil
}
func (f *fakeNode) Scores(context.Context) (*api.Scores, error) { return &api.Scores{}, nil }
func (f *fakeNode) Watch(ctx context.Context, after uint64, tell func(api.Event) error) error {
	if after == 0 {
		return tell(api.Event{ID: 1, Kind: api.EventError, Text: "disk full"}) // and the stream ends
	}
	<-ctx.Done()
	return ctx.Err()
}
func (f *fakeNode) Close() {}

// TestFollowsANode through a stream that breaks, until q is pressed.
func TestFollowsANode(t *testing.T) {
	node := &fakeNode{}
	keys, press := io.Pipe()
	var out lockedBuffer
	ended := make(chan error, 1)
	go func() {
		ended <- Run(t.Context(), []Node{{"kitchen", func(context.Context) (Source, error) { return node, nil }}},
			tea.WithInput(keys), tea.WithOutput(&out), tea.WithWindowSize(80, 24), tea.WithEnvironment([]string{"TERM=xterm-256color"}))
	}()
	press.Write([]byte("4"))
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(ansi.Strip(out.String()), "disk full"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the event is not shown: %q", out.String())
		}
	}
	press.Write([]byte("q"))
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("q does not end it")
	}
	node.mu.Lock()
	defer node.mu.Unlock()
	if node.asked == 0 {
		t.Error("the node was not asked")
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

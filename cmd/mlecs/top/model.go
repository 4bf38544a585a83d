package top

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/mlecs/mlecs/node/api"
)

// Run shows nodes until somebody quits or ctx ends.
func Run(ctx context.Context, nodes []Node, options ...tea.ProgramOption) error {
	ctx, cancel := context.WithCancel(ctx)
	p := tea.NewProgram(newModel(nodes), append(options, tea.WithContext(ctx))...)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	for i, n := range nodes {
		f := &follower{Node: n, i: i, send: func(m any) { p.Send(m) }}
		wait.Go(func() { f.run(ctx) })
	}
	_, err := p.Run()
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, tea.ErrInterrupted) || errors.Is(err, io.EOF) {
		return nil // to interrupt is a way to quit
	}
	return err
}

// Panes under the table.
const (
	paneCurves = iota
	paneRounds
	panePeers
	paneEvents
	panes
)

var paneNames = [panes]string{"curves", "rounds", "peers", "events"}

// keptEvents of a node.
const keptEvents = 200

// model is the state of the view.
type model struct {
	nodes         []nodeState
	chosen        int
	pane          int
	help, paused  bool
	width, height int
}

// nodeState is what is known of one node.
type nodeState struct {
	name   string
	status *api.Status // nil until it answers
	peers  []api.Peer
	rounds []api.Round
	scores *api.Scores
	events []api.Event // oldest first
	err    error       // why it does not answer

	at                   time.Time // of status
	sent, received, step float64   // a second
}

func newModel(nodes []Node) *model {
	m := &model{width: 80, height: 24}
	for _, n := range nodes {
		m.nodes = append(m.nodes, nodeState{name: n.Name})
	}
	return m
}

// Init asks for nothing: the followers send.
func (m *model) Init() tea.Cmd { return nil }

// Update takes in what followers send, and keys.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m, m.press(msg.String())
	case polled, remembered, happened, lost:
		if !m.paused {
			m.hear(msg)
		}
	}
	return m, nil
}

// press acts on a key.
func (m *model) press(key string) tea.Cmd {
	if m.help && key != "q" && key != "ctrl+c" {
		m.help = false
		return nil
	}
	switch key {
	case "q", "ctrl+c", "esc":
		return tea.Quit
	case "up", "k":
		m.chosen = max(m.chosen-1, 0)
	case "down", "j":
		m.chosen = min(m.chosen+1, len(m.nodes)-1)
	case "home", "g":
		m.chosen = 0
	case "end", "G":
		m.chosen = len(m.nodes) - 1
	case "tab", "right", "l":
		m.pane = (m.pane + 1) % panes
	case "shift+tab", "left", "h":
		m.pane = (m.pane + panes - 1) % panes
	case "1", "2", "3", "4":
		m.pane = int(key[0] - '1')
	case "p", "space":
		m.paused = !m.paused
	case "?":
		m.help = true
	}
	return nil
}

func (m *model) hear(msg any) {
	switch msg := msg.(type) {
	case polled:
		m.nodes[msg.i].poll(msg)
	case remembered:
		n := &m.nodes[msg.i]
		n.rounds, n.scores = msg.rounds, msg.scores
	case happened:
		m.nodes[msg.i].event(msg.e)
	case lost:
		m.nodes[msg.i].err = msg.err
	}
}

// poll takes a status, and computes rates from the one before.
func (n *nodeState) poll(p polled) {
	n.sent, n.received, n.step = 0, 0, 0
	if before, seconds := n.status, p.at.Sub(n.at).Seconds(); before != nil && seconds > 0 && before.PID == p.status.PID {
		n.sent = float64(p.status.BytesSent-before.BytesSent) / seconds
		n.received = float64(p.status.BytesReceived-before.BytesReceived) / seconds
		if before.Phase == p.status.Phase && p.status.StepDone >= before.StepDone {
			n.step = float64(p.status.StepDone-before.StepDone) / seconds
		}
	}
	n.status, n.peers, n.at, n.err = p.status, p.peers, p.at, nil
	if p.status.Name != "" {
		n.name = p.status.Name
	}
}

// event keeps an event, and takes the learner's progress from it, which no status has yet.
func (n *nodeState) event(e api.Event) {
	if e.Kind == api.EventPhase || e.Kind == api.EventStep {
		if n.status != nil && e.Time >= n.at.UnixMilli() {
			s := *n.status
			s.Phase, s.StepTotal, s.Loss = e.Text, e.Total, e.Loss
			if e.Kind == api.EventPhase {
				s.StepDone = e.Done // else the next rate would miss these steps
			}
			n.status = &s
		}
		if e.Kind == api.EventStep {
			return
		}
	}
	n.events = append(n.events, e)
	if len(n.events) > 2*keptEvents {
		n.events = slices.Clone(n.events[keptEvents:])
	}
}

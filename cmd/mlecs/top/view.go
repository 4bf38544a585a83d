package top

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/dustin/go-humanize"

	"github.com/mlecs/mlecs/node/api"
)

// Colours of the terminal's own palette, which fit a light one and a dark one.
var (
	plain    = lipgloss.NewStyle()
	bold     = plain.Bold(true)
	faint    = plain.Faint(true)
	reversed = plain.Reverse(true)
	good     = plain.Foreground(lipgloss.Green)
	bad      = plain.Foreground(lipgloss.Red)
	second   = plain.Foreground(lipgloss.Cyan)
	third    = plain.Foreground(lipgloss.Magenta)
)

const (
	minWidth, minHeight = 40, 10
	tableColumns        = "  %-11.11s %-5s %5s %-10.10s %-10s %6s %7s %8s %8s"
)

// View draws the whole terminal.
func (m *model) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen, v.WindowTitle = true, "mlecs top"
	return v
}

// lines are as many as the terminal has, none longer than it is wide.
func (m *model) lines() []string {
	var lines []string
	switch {
	case m.width < minWidth || m.height < minHeight:
		lines = []string{fmt.Sprintf("%dx%d is too small:", m.width, m.height), fmt.Sprintf("it takes %dx%d", minWidth, minHeight), "q quits"}
	case m.help:
		lines = helpLines()
	default:
		table := m.table(max(3, (m.height-3)/2))
		body := m.height - len(table) - 3
		lines = append(append(append([]string{m.title()}, table...), m.tabs()), m.body(body)...)
		for len(lines) < m.height-1 {
			lines = append(lines, "")
		}
		lines = append(lines, faint.Render(" ↑↓ node  tab view  p pause  ? help  q quit"))
	}
	lines = lines[:min(len(lines), max(m.height, 0))]
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], max(m.width, 0), "…")
	}
	return lines
}

func helpLines() []string {
	return []string{
		bold.Render(" mlecs top"), "",
		"  ↑ ↓  k j       choose a node",
		"  home end       the first, the last",
		"  tab  ← →       next view; 1 curves, 2 rounds, 3 peers, 4 events",
		"  p  space       pause, and go on",
		"  q  esc         quit", "",
		"  together, alone, constant: Rouge-LSum on the node's own test rows with the",
		"  federation, by itself, and with the best constant answer.",
		"  Rates are of the last second, loss in nats a token.", "",
		faint.Render("  any key: back"),
	}
}

// title is the federation in one line.
func (m *model) title() string {
	var sent, received float64
	var edges, supers, answering int
	name, round := "no node answers", ""
	for _, n := range m.nodes {
		if n.status == nil || n.err != nil {
			continue
		}
		answering++
		sent, received = sent+n.sent, received+n.received
		if n.status.Role == "super" {
			supers++
		} else {
			edges++
		}
		if n.status.FedName != "" {
			name = n.status.FedName
		}
		round = fmt.Sprintf("round %d", n.status.Round)
		if n.status.Rounds > 0 {
			round += fmt.Sprintf(" of %d", n.status.Rounds)
		}
	}
	state := good.Render("live")
	switch {
	case m.paused:
		state = bad.Render("paused")
	case answering < len(m.nodes):
		state = bad.Render(fmt.Sprintf("%d do not answer", len(m.nodes)-answering))
	}
	return fmt.Sprintf(" %s  %s  %s  %s, %s  ↑ %s ↓ %s", bold.Render(clean(name)), state, round, counted(edges, "edge"), counted(supers, "super-peer"), rate(sent), rate(received))
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// table is the nodes, at most rows of them around the chosen one.
func (m *model) table(rows int) []string {
	lines := []string{bold.Render(fmt.Sprintf(tableColumns, "node", "role", "round", "phase", "progress", "loss", "steps/s", "sent", "received"))}
	first := min(max(m.chosen-rows/2, 0), max(len(m.nodes)-rows, 0))
	for i := first; i < min(first+rows, len(m.nodes)); i++ {
		lines = append(lines, m.nodes[i].row(i == m.chosen))
	}
	if hidden := len(m.nodes) - rows; hidden > 0 {
		lines = append(lines, faint.Render(fmt.Sprintf("  %d more nodes", hidden)))
	}
	return lines
}

// row is one node.
func (n *nodeState) row(chosen bool) string {
	line := ""
	switch s := n.status; {
	case n.err != nil:
		line = fmt.Sprintf("  %-11.11s ", clean(n.name)) + clean(firstLine(n.err.Error()))
	case s == nil:
		line = fmt.Sprintf("  %-11.11s asking", clean(n.name))
	default:
		progress, loss, steps := "", "", ""
		if s.StepTotal > 0 {
			progress, loss = bar(float64(s.StepDone)/float64(s.StepTotal)), fmt.Sprintf("%.3f", s.Loss)
		}
		if n.step > 0 {
			steps = fmt.Sprintf("%.1f", n.step)
		}
		line = fmt.Sprintf(tableColumns, clean(n.name), s.Role, fmt.Sprint(s.Round), s.Phase, progress, loss, steps, rate(n.sent), rate(n.received))
	}
	switch {
	case chosen:
		return reversed.Render(">" + line[1:])
	case n.err != nil:
		return bad.Render(line)
	}
	return line
}

// bar is a share from 0 to 1 in ten characters.
func bar(share float64) string {
	share = min(max(share, 0), 1)
	full := int(share*5 + 0.5)
	return strings.Repeat("█", full) + strings.Repeat("░", 5-full) + fmt.Sprintf("%4.0f%%", 100*share)
}

// rate is bytes a second.
func rate(perSecond float64) string {
	if perSecond < 1 {
		return "0 B/s"
	}
	return strings.Replace(humanize.IBytes(uint64(perSecond)), " ", "", 1) + "/s"
}

func (m *model) tabs() string {
	var b strings.Builder
	b.WriteString(" ")
	for i, name := range paneNames {
		label := fmt.Sprintf(" %d %s ", i+1, name)
		if i == m.pane {
			label = reversed.Render(label)
		}
		b.WriteString(label)
	}
	if len(m.nodes) > 0 {
		b.WriteString("  of " + bold.Render(clean(m.nodes[m.chosen].name)))
	}
	return b.String()
}

// body is the chosen pane of the chosen node in height lines.
func (m *model) body(height int) []string {
	if len(m.nodes) == 0 {
		return nil
	}
	n := &m.nodes[m.chosen]
	var lines []string
	switch m.pane {
	case paneCurves:
		lines = n.curves(m.width, height)
	case paneRounds:
		lines = n.roundLines()
	case panePeers:
		lines = n.peerLines()
	case paneEvents:
		for i := len(n.events) - 1; i >= 0 && len(lines) < height; i-- {
			lines = append(lines, "  "+eventLine(n.events[i]))
		}
	}
	if len(lines) == 0 {
		lines = []string{faint.Render("  nothing yet")}
	}
	return lines[:min(len(lines), max(height, 0))]
}

// curves are the scores by round.
func (n *nodeState) curves(width, height int) []string {
	if n.scores == nil || len(n.scores.Together) == 0 {
		return nil
	}
	of := func(name string, style lipgloss.Style, dotted bool, scores []api.RoundScore) curve {
		c := curve{name: name, style: style, dotted: dotted}
		for _, s := range scores {
			c.x, c.y = append(c.x, float64(s.Round)), append(c.y, s.RougeLsum)
		}
		return c
	}
	var curves []curve
	if c := n.scores.Constant; c != nil {
		last := n.scores.Together[len(n.scores.Together)-1].Round
		curves = append(curves, of("constant", faint, true, []api.RoundScore{{Round: 0, Score: *c}, {Round: last, Score: *c}}))
	}
	if len(n.scores.Standalone) > 0 {
		curves = append(curves, of("alone", third, true, n.scores.Standalone))
	}
	return chart(width, height, append(curves, of("together", second, false, n.scores.Together)))
}

// roundLines are the rounds, newest first.
func (n *nodeState) roundLines() []string {
	names := map[string]string{}
	for _, p := range n.peers {
		names[p.PeerID] = p.Name
	}
	if n.status != nil {
		names[n.status.PeerID] = n.status.Name
	}
	var lines []string
	for i := len(n.rounds) - 1; i >= 0; i-- {
		r := n.rounds[i]
		var inputs []string
		for _, in := range r.Inputs {
			inputs = append(inputs, fmt.Sprintf("%s %.2f", clean(nameOr(names[in.Author], in.Author)), in.Weight))
		}
		lines = append(lines, fmt.Sprintf("  %4d  %7.1f s  %-8s by %-10.10s %s", r.Round, r.Seconds, r.Verdict, clean(nameOr(names[r.Leader], r.Leader)), strings.Join(inputs, ", ")))
	}
	return lines
}

func (n *nodeState) peerLines() []string {
	var lines []string
	for _, p := range n.peers {
		state := faint.Render("away")
		if p.Connected {
			state = good.Render("connected")
		}
		if p.Gray {
			state = bad.Render("graylisted")
		}
		if p.Disputed > 0 {
			state += bad.Render(fmt.Sprintf(", %d disputed", p.Disputed))
		}
		lines = append(lines, fmt.Sprintf("  %-11.11s %-5s %6.1f ms  ↑ %-8s ↓ %-8s  faults %.0f  %s", clean(nameOr(p.Name, p.PeerID)), p.Role, p.RTTMillis,
			humanize.IBytes(uint64(max(p.Sent, 0))), humanize.IBytes(uint64(max(p.Received, 0))), p.Faults, state))
	}
	return lines
}

func eventLine(e api.Event) string {
	what := e.Text
	switch e.Kind {
	case api.EventRound:
		what = fmt.Sprintf("%d closed by %s, %s", e.Round, nameOr(e.Name, e.Peer), humanize.IBytes(uint64(max(e.Bytes, 0))))
	case api.EventDelta:
		what = fmt.Sprintf("of round %d by %s, %s", e.Round, nameOr(e.Name, e.Peer), humanize.IBytes(uint64(max(e.Bytes, 0))))
	case api.EventPeer:
		what = nameOr(e.Name, e.Peer) + " " + e.Text
	}
	line := fmt.Sprintf("%s  %-5s  %s", time.UnixMilli(e.Time).Format("15:04:05"), e.Kind, clean(what))
	if e.Kind == api.EventError {
		return bad.Render(line)
	}
	return line
}

// nameOr is a name, or the end of the id that stands for it: peer ids begin alike.
func nameOr(name, id string) string {
	if name == "" && len(id) > 8 {
		return "…" + id[len(id)-6:]
	}
	return name
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// clean takes out what could move the cursor: names and errors may come from elsewhere.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

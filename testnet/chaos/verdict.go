package chaos

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Verdict is what a scenario found.
type Verdict struct {
	Scenario    string  `json:"scenario"`
	Seed        uint64  `json:"seed"`
	WallSeconds float64 `json:"wall_seconds"`
	Checks      []Check `json:"checks"`
}

// Check is one expectation and what became of it. Detail has the figures.
type Check struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Failed counts the checks that did not hold.
func (v *Verdict) Failed() (n int) {
	for _, c := range v.Checks {
		if !c.OK {
			n++
		}
	}
	return n
}

// WriteJSON writes the verdict as JSON.
func (v *Verdict) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write verdict: %w", err)
	}
	return nil
}

// Print shows the verdict as a table.
func (v *Verdict) Print(w io.Writer) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	style := table.StyleLight
	style.Options = table.Options{SeparateHeader: true}
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 3, WidthMax: 110, WidthMaxEnforcer: text.WrapSoft}})
	t.SuppressTrailingSpaces()
	t.AppendHeader(table.Row{"check", "", "what was seen"})
	for _, c := range v.Checks {
		mark := "ok"
		if !c.OK {
			mark = "FAILED"
		}
		t.AppendRow(table.Row{c.Check, mark, c.Detail})
	}
	fmt.Fprintln(w)
	t.Render()
	fmt.Fprintf(w, "\nScenario %s, seed %d: %d of %d checks hold, after %.0f s.\n", v.Scenario, v.Seed, len(v.Checks)-v.Failed(), len(v.Checks), v.WallSeconds)
}

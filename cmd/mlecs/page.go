package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
)

// page is what a command prints for people.
type page struct{ w io.Writer }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

// fields prints names and values in two aligned columns; fields without a value are left out.
func (p *page) fields(pairs ...string) {
	t := p.table()
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			t.AppendRow(table.Row{pairs[i], pairs[i+1]})
		}
	}
	t.Render()
}

// list prints rows under a header, columns aligned; right lists the columns (from 1) of numbers. Without rows it prints none.
func (p *page) list(header table.Row, rows []table.Row, right []int, none string) {
	if len(rows) == 0 {
		p.line("%s", none)
		return
	}
	t := p.table()
	t.AppendHeader(header)
	t.AppendRows(rows)
	var columns []table.ColumnConfig
	for _, c := range right {
		columns = append(columns, table.ColumnConfig{Number: c, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	t.Render()
}

func (p *page) table() table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(p.w)
	style := table.StyleLight
	style.Options = table.Options{SeparateHeader: true}
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	return t
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// short abbreviates a CID for people: its beginning, which commands accept. Peer ids begin alike, so their end is shown.
func short(id string) string {
	const n = 18
	if len(id) <= n {
		return id
	}
	if strings.HasPrefix(id, "12D3Koo") {
		return "…" + id[len(id)-10:]
	}
	return id[:n]
}

func bytesText(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

func countText(n int64) string { return humanize.Comma(n) }

// ago tells how long before now a time in Unix milliseconds was.
func ago(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return humanize.Time(time.UnixMilli(ms))
}

func dateText(seconds int64) string {
	if seconds == 0 {
		return "-"
	}
	return time.Unix(seconds, 0).UTC().Format("2006-01-02 15:04 UTC")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// registerLast adds the flag that bounds a list.
func registerLast(cmd *cobra.Command, last *int, most int, what string) {
	cmd.Flags().IntVar(last, "last", most, "how many "+what+", the last ones; 0: all")
}

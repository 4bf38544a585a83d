package mlecs_test

import (
	"cmp"
	"flag"
	"fmt"
	"html"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// write makes TestArchitecturePicture draw docs/architecture.svg anew: `make docs`.
var write = flag.Bool("write", false, "write docs/architecture.svg")

// TestArchitecturePicture: docs/architecture.svg shows the packages and imports that the code has.
func TestArchitecturePicture(t *testing.T) {
	const file = "docs/architecture.svg"
	want := picture(packageImports(t))
	if *write {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(file); err != nil || string(have) != want {
		t.Errorf("%s is not what the code imports (%v): draw it anew with make docs", file, err)
	}
}

func TestReduced(t *testing.T) {
	got := reduced(map[string][]string{"a": {"b", "c", "d"}, "b": {"c"}, "c": {"d"}, "d": nil})
	for from, want := range map[string]string{"a": "b", "b": "c", "c": "d", "d": ""} {
		if s := strings.Join(got[from], " "); s != want {
			t.Errorf("%s leads to %q, want %q", from, s, want)
		}
	}
}

// packageImports are the packages of the module with those of it that they import, tests and packages for tests left out.
func packageImports(t *testing.T) map[string][]string {
	t.Helper()
	graph := map[string][]string{}
	for file, imports := range goFiles(t) {
		dir := path.Dir(file)
		if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(dir, "test") || dir == "." {
			continue
		}
		graph[dir] = append(graph[dir], []string{}...)
		for _, imp := range imports {
			if own, ok := strings.CutPrefix(imp, module); ok && own != dir && !slices.Contains(graph[dir], own) {
				graph[dir] = append(graph[dir], own)
			}
		}
	}
	for _, list := range graph {
		slices.Sort(list)
	}
	return graph
}

// reduced leaves out what follows from other imports.
func reduced(graph map[string][]string) map[string][]string {
	var reaches func(from, to string) bool
	reaches = func(from, to string) bool {
		return slices.ContainsFunc(graph[from], func(next string) bool { return next == to || reaches(next, to) })
	}
	out := map[string][]string{}
	for from, list := range graph {
		for _, to := range list {
			if !slices.ContainsFunc(list, func(by string) bool { return by != to && reaches(by, to) }) {
				out[from] = append(out[from], to)
			}
		}
	}
	return out
}

// picture draws packages as boxes, everybody above what it imports, and the imports as arrows.
func picture(graph map[string][]string) string {
	names := slices.Sorted(maps.Keys(graph))
	depth := map[string]int{}
	for range names { // as often as the longest path may be
		for _, from := range names {
			for _, to := range graph[from] {
				depth[to] = max(depth[to], depth[from]+1)
			}
		}
	}
	var rows [][]string
	for _, name := range names {
		for len(rows) <= depth[name] {
			rows = append(rows, nil)
		}
		rows[depth[name]] = append(rows[depth[name]], name)
	}
	const width, step, boxWidth, boxHeight, margin = 1040, 84, 128, 34, 16
	type point struct{ x, y float64 }
	at := map[string]point{}
	arrows := reduced(graph)
	importers := func(name string) (mean float64) {
		n := 0.0
		for _, from := range names {
			if slices.Contains(arrows[from], name) {
				mean, n = mean+at[from].x, n+1
			}
		}
		return mean / max(n, 1)
	}
	for i, row := range rows {
		slices.SortStableFunc(row, func(a, b string) int { return cmp.Compare(importers(a), importers(b)) })
		for k, name := range row {
			at[name] = point{float64(width) * (float64(k) + 0.5) / float64(len(row)), float64(margin + i*step + boxHeight/2)}
		}
	}
	height := 2*margin + (len(rows)-1)*step + boxHeight
	colours := map[string]string{"cmd": "#6b7280", "testnet": "#a16207", "node": "#1d4ed8", "p2p": "#7e22ce", "learn": "#15803d", "storage": "#b91c1c"}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13" role="img" aria-label="Packages and their imports">`+"\n", width, height)
	b.WriteString("<!-- Drawn from the code's imports by make docs: do not edit. -->\n")
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	b.WriteString(`<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#9ca3af"/></marker></defs>` + "\n")
	for _, from := range names {
		for _, to := range arrows[from] {
			p, q := at[from], at[to]
			y0, y1 := p.y+boxHeight/2, q.y-boxHeight/2
			fmt.Fprintf(&b, `<path d="M%.0f %.0fC%.0f %.0f %.0f %.0f %.0f %.0f" fill="none" stroke="#9ca3af" stroke-width="1.3" marker-end="url(#a)"><title>%s imports %s</title></path>`+"\n",
				p.x, y0, p.x, y0+30, q.x, y1-30, q.x, y1, html.EscapeString(from), html.EscapeString(to))
		}
	}
	for _, name := range names {
		p := at[name]
		layer, _, _ := strings.Cut(name, "/")
		fmt.Fprintf(&b, `<rect x="%.0f" y="%.0f" width="%d" height="%d" rx="6" fill="#ffffff" stroke="%s" stroke-width="2"/><text x="%.0f" y="%.0f" text-anchor="middle" fill="%s">%s</text>`+"\n",
			p.x-boxWidth/2, p.y-boxHeight/2, boxWidth, boxHeight, colours[layer], p.x, p.y+5, colours[layer], html.EscapeString(name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

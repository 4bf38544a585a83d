package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress shows long work: bars on a terminal, otherwise a line when a stage begins, every few seconds, and when it ends.
type progress struct {
	w    io.Writer
	bars *mpb.Progress // nil: lines
	bar  map[string]*mpb.Bar
	told map[string]time.Time
}

// logEvery is how often a stage reports where there are no bars.
const logEvery = 5 * time.Second

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, bar: map[string]*mpb.Bar{}, told: map[string]time.Time{}}
	if isTerminal(w) {
		p.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40))
	}
	return p
}

// isTerminal tells whether w can show bars.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// update says that done of total parts of a stage are finished.
func (p *progress) update(stage string, done, total int64) {
	if total <= 0 {
		return
	}
	if p.bars != nil {
		b := p.bar[stage]
		if b == nil {
			b = p.bars.AddBar(total,
				mpb.PrependDecorators(decor.Name(stage, decor.WCSyncSpaceR)),
				mpb.AppendDecorators(decor.Percentage(decor.WCSyncSpace)))
			p.bar[stage] = b
		}
		b.SetTotal(total, false)
		b.SetCurrent(done)
		if done >= total {
			b.SetTotal(total, true)
		}
		return
	}
	last, begun := p.told[stage]
	if begun && done < total && time.Since(last) < logEvery || begun && last.IsZero() {
		return
	}
	p.told[stage] = time.Now()
	if done >= total {
		p.told[stage] = time.Time{} // ended: nothing more to tell
	}
	fmt.Fprintf(p.w, "%s: %d %%\n", stage, 100*done/total)
}

// close ends the bars; those of unfinished stages stay where they are.
func (p *progress) close() {
	if p.bars == nil {
		return
	}
	for _, b := range p.bar {
		b.Abort(false)
	}
	p.bars.Wait()
}

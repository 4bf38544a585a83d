package testnet

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/mlecs/mlecs/node/api"
)

// display shows people what goes on.
type display interface {
	say(format string, args ...any)          // something happened
	progress(what string, done, total int64) // long work before the nodes run
	nodes(list []view)                       // how the nodes are
	close()                                  // before anything else is written to the same place
}

// view is what the testnet knows of a node at one moment.
type view struct {
	name string
	st   *api.Status // last one known; nil before the first
	lost bool        // it has ended before it was done
}

// at says in a few words what the node does.
func (v view) at() string {
	switch {
	case v.lost:
		return "lost"
	case v.st == nil:
		return "starting"
	}
	s := phaseText(v.st.Phase)
	if v.st.StepTotal > 0 {
		s += fmt.Sprintf(" %d/%d", v.st.StepDone, v.st.StepTotal)
	}
	return s
}

// openRound is the round that the node works on, the last one at the end.
func (v view) openRound() uint64 { return min(v.st.Round+1, v.st.Rounds) }

// phaseText names the phases whose short names say little to newcomers.
func phaseText(phase string) string {
	switch phase {
	case "ccl":
		return "learning from public rows (CCL)"
	case "amt":
		return "tuning on private rows (AMT)"
	case "mma":
		return "aggregating (MMA)"
	case "se-ccl":
		return "tuning the large model (SE-CCL)"
	case "baseline":
		return "training alone, to compare"
	case "collecting":
		return "collecting deltas"
	}
	return phase
}

// newDisplay shows bars on a terminal and lines elsewhere; w may be nil.
func newDisplay(w io.Writer, bars bool, clock func() time.Duration) display {
	switch {
	case w == nil:
		return silent{}
	case bars:
		return &barDisplay{container: mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh(), mpb.WithWidth(40)), clock: clock, bars: map[string]*mpb.Bar{}, notes: map[string]string{}}
	}
	return &lineDisplay{w: w, clock: clock, every: 5 * time.Second}
}

type silent struct{}

func (silent) say(string, ...any)            {}
func (silent) progress(string, int64, int64) {}
func (silent) nodes([]view)                  {}
func (silent) close()                        {}

// lineDisplay writes a line an event, and one about all nodes when nothing happened for a while.
type lineDisplay struct {
	mu    sync.Mutex
	w     io.Writer
	clock func() time.Duration
	every time.Duration
	last  time.Duration
	what  string
}

func (d *lineDisplay) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.line(fmt.Sprintf(format, args...))
}

func (d *lineDisplay) line(s string) {
	d.last = d.clock()
	fmt.Fprintf(d.w, "%6.1fs  %s\n", d.last.Seconds(), s)
}

func (d *lineDisplay) progress(what string, done, total int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if what == d.what && d.clock()-d.last < d.every || what != d.what && done >= total { // what is done at once is no news
		return
	}
	if what != d.what || done >= total {
		d.what = what
		d.line(what)
		return
	}
	d.line(fmt.Sprintf("%s: %d of %d", what, done, total))
}

func (d *lineDisplay) nodes(list []view) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.clock()-d.last < d.every {
		return
	}
	parts := make([]string, len(list))
	for i, v := range list {
		parts[i] = v.name + " " + v.at()
	}
	d.line(strings.Join(parts, "; "))
}

func (d *lineDisplay) close() {}

// barDisplay keeps one bar a node at the foot of the terminal, and lets events scroll above. One goroutine drives it.
type barDisplay struct {
	container *mpb.Progress
	clock     func() time.Duration
	bars      map[string]*mpb.Bar
	stage     string // of progress; empty once the nodes are shown

	mu    sync.Mutex // bars are drawn by the container's goroutine
	notes map[string]string
}

func (d *barDisplay) say(format string, args ...any) {
	fmt.Fprintf(d.container, "%6.1fs  %s\n", d.clock().Seconds(), fmt.Sprintf(format, args...))
}

func (d *barDisplay) progress(what string, done, total int64) {
	if what != d.stage && done >= total {
		return // what is done at once is no news
	}
	d.enter(what)
	d.set(what, "", done, total)
}

func (d *barDisplay) nodes(list []view) {
	d.enter("")
	for _, v := range list {
		var note string
		var done, total int64
		if v.st != nil {
			if done, total = int64(v.st.StepDone), int64(v.st.StepTotal); v.st.Done {
				done, total = 1, 1
			}
			note = fmt.Sprintf("round %d/%d  ", v.openRound(), v.st.Rounds)
		}
		d.set(v.name, note+v.at(), done, total)
	}
}

// enter ends the bar of the stage before.
func (d *barDisplay) enter(stage string) {
	if stage == d.stage {
		return
	}
	if b := d.bars[d.stage]; b != nil {
		delete(d.bars, d.stage)
		b.Abort(true)
	}
	if d.stage = stage; stage != "" {
		d.say("%s", stage)
	}
}

// set moves the bar of a name, and makes it when first asked for.
func (d *barDisplay) set(name, note string, done, total int64) {
	d.mu.Lock()
	d.notes[name] = note
	d.mu.Unlock()
	b := d.bars[name]
	if b == nil {
		text := func(decor.Statistics) string {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.notes[name]
		}
		// A bar made with no total never completes by itself: phase after phase runs over it.
		b = d.container.New(0, mpb.BarStyle(), mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)), mpb.AppendDecorators(decor.Any(text)))
		d.bars[name] = b
	}
	b.SetTotal(max(total, 1), false)
	b.SetCurrent(done)
}

func (d *barDisplay) close() {
	for _, b := range d.bars {
		b.Abort(true)
	}
	d.container.Wait()
}

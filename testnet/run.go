package testnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/node"
)

// stopPatience is how long all nodes together may take to stop.
const stopPatience = 30 * time.Second

// Run makes a testnet, lets it learn until the last round, reports, and stops it. When ctx ends it stops all nodes and returns ctx's error.
// Nodes that somebody kills do not make it fail; those that end by themselves before the last round do, after the report.
func Run(ctx context.Context, opt Options) (*Report, error) {
	t, err := Start(ctx, opt)
	if err != nil {
		return nil, err
	}
	report, err := t.finish(ctx)
	if err = errors.Join(err, t.Stop()); err != nil {
		return nil, err
	}
	if !opt.Keep {
		if err := t.prune(); err != nil {
			return nil, err
		}
	}
	t.print(report)
	return report, t.watcher.failure()
}

// Up makes a testnet and leaves it running. It returns when all nodes run; with opt.JSON it waits for the last round and reports, as Run
// does. When ctx ends before, it stops all nodes.
func Up(ctx context.Context, opt Options) error {
	opt.detached = true
	t, err := Start(ctx, opt)
	if err != nil {
		return err
	}
	var report *Report
	if opt.JSON != nil {
		if report, err = t.finish(ctx); err != nil {
			return errors.Join(err, t.Stop())
		}
	}
	t.release()
	if report != nil {
		t.print(report)
	}
	t.tell("\nThe testnet runs in %s. Look at it with\n    mlecs testnet ps%[2]s\n    mlecs status --node edge-1%[2]s\nand stop it with\n    mlecs testnet down%[2]s\n", t.folder.Dir, t.outFlag())
	return nil
}

// finish follows the nodes to the end and reports.
func (t *Testnet) finish(ctx context.Context) (*Report, error) {
	if err := t.Wait(ctx); err != nil {
		return nil, interrupted(ctx, err)
	}
	r, err := t.Report(ctx)
	return r, interrupted(ctx, err)
}

// interrupted is ctx's error once ctx has ended: what fails because of that is no news.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Testnet is a running testnet.
type Testnet struct {
	opt     Options
	folder  *Folder
	unlock  func()
	set     *data.Set
	nodes   []Node // super-peers first, in the folder's order
	watcher *watcher
	show    display
	started time.Time
}

// Start makes a testnet: data, homes, federation, and nodes that run. If that fails, or ctx ends meanwhile, nothing is left running. The
// caller stops it.
func Start(ctx context.Context, opt Options) (*Testnet, error) {
	t, err := open(opt)
	if err != nil {
		return nil, err
	}
	if err := t.build(ctx); err != nil {
		return nil, errors.Join(interrupted(ctx, err), t.Stop())
	}
	t.watcher = t.newWatcher()
	if opt.Dashboard != nil {
		if err := t.showPage(ctx); err != nil {
			return nil, errors.Join(interrupted(ctx, err), t.Stop())
		}
	}
	return t, nil
}

// showPage asks the first node for a link to its page.
func (t *Testnet) showPage(ctx context.Context) error {
	client, err := t.nodes[0].API()
	if err != nil {
		return err
	}
	defer client.Close()
	login, err := client.Login(ctx)
	if err != nil {
		return err
	}
	t.show.say("page of %s: %s", t.nodes[0].Name(), login.URL)
	t.opt.Dashboard(login.URL)
	return nil
}

// Nodes are all nodes, super-peers first. They can be stopped, killed and started again while the testnet runs.
func (t *Testnet) Nodes() []Node { return slices.Clone(t.nodes) }

// Wait returns when every node that is left has done its last round and knows every delta.
func (t *Testnet) Wait(ctx context.Context) error {
	if err := t.watcher.watch(ctx); err != nil {
		return err
	}
	return t.settle(ctx)
}

// Report asks all nodes how they did, and writes the report and its curves.
func (t *Testnet) Report(ctx context.Context) (*Report, error) {
	report, curves, err := t.collect(ctx)
	if err != nil {
		return nil, err
	}
	if lost := t.watcher.lost(); len(lost) > 0 {
		t.show.say("warning: %s ended before the last round: the report has what is on its disk", strings.Join(lost, ", "))
	}
	return report, t.write(report, curves)
}

// Stop ends all nodes at once, also those that somebody else has started on their homes, and lets the folder go.
func (t *Testnet) Stop() error {
	defer t.release()
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	errs := make([]error, len(t.nodes))
	var wait sync.WaitGroup
	for i, n := range t.nodes {
		wait.Go(func() {
			if n.PID() > 0 {
				errs[i] = n.Stop(ctx)
			} else if !t.opt.InProcess {
				errs[i] = stopNode(ctx, t.folder.Members[i])
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// release gives up terminal and folder.
func (t *Testnet) release() {
	t.show.close()
	t.unlock()
}

// open prepares folder and display.
func open(opt Options) (*Testnet, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	if opt.Data != "" { // before the testnet that is in the folder goes
		if _, err := openRows(opt.Data, opt.Target); err != nil {
			return nil, err
		}
	}
	out := opt.Out
	if out == "" {
		out = DefaultFolder()
	}
	out, err := filepath.Abs(out)
	if err != nil {
		return nil, fmt.Errorf("testnet folder: %w", err)
	}
	unlock, err := claim(out)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	f := &Folder{Dir: out, Version: node.Version, Created: started.UTC().Truncate(time.Second), Seed: opt.Seed, Rounds: opt.Rounds, Members: []Member{}}
	if err = f.save(); err == nil {
		err = opt.findExe(out)
	}
	if err != nil {
		unlock()
		return nil, err
	}
	show := newDisplay(opt.Text, opt.Bars, func() time.Duration { return time.Since(started) })
	return &Testnet{opt: opt, folder: f, unlock: unlock, show: show, started: started}, nil
}

// findExe names the binary that the nodes run. One that is left running gets a copy of its own: `go run` removes the original.
func (o *Options) findExe(out string) (err error) {
	if o.InProcess {
		return nil
	}
	if o.Exe == "" {
		if o.Exe, err = os.Executable(); err != nil {
			return fmt.Errorf("find the mlecs binary: %w", err)
		}
	}
	if !o.detached {
		return nil
	}
	own := filepath.Join(out, binFolder, "mlecs")
	if err := copyFile(o.Exe, own, 0o700); err != nil {
		return fmt.Errorf("keep the mlecs binary: %w", err)
	}
	o.Exe = own
	return nil
}

func copyFile(from, to string, mode os.FileMode) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// write puts the report and its curves into the testnet's folder.
func (t *Testnet) write(r *Report, curves []Curve) error {
	var doc, md, png, svg bytes.Buffer
	if err := r.WriteJSON(&doc); err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	if err := r.WriteMarkdown(&md); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := WriteCurves(&png, &svg, curvesTitle(r), curves); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		b    *bytes.Buffer
	}{{reportFile, &doc}, {markdownFile, &md}, {pngFile, &png}, {svgFile, &svg}} {
		if err := os.WriteFile(filepath.Join(t.folder.Dir, f.name), f.b.Bytes(), 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	if t.opt.JSON != nil {
		if err := r.WriteJSON(t.opt.JSON); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	return nil
}

func curvesTitle(r *Report) string {
	title := "Rouge-LSum by round, each node on its own test rows: " + filepath.Base(r.Dataset.Path)
	if r.Dataset.Generated {
		title = "Rouge-LSum by round, each node on its own test rows (generated data)"
	}
	return fmt.Sprintf("%s, seed %d", title, r.Seed)
}

// print shows the result.
func (t *Testnet) print(r *Report) {
	if t.opt.Text == nil {
		return
	}
	r.Print(t.opt.Text)
	t.tell("Report: %s, with %s, %s and %s beside it.\n", filepath.Join(t.folder.Dir, reportFile), markdownFile, pngFile, svgFile)
	if !t.opt.detached {
		t.tell("Look into the stopped nodes with `mlecs deltas --node edge-1%s`, `mlecs rounds --node edge-1%s`, `mlecs testnet logs edge-1%s`.\n", t.outFlag(), t.outFlag(), t.outFlag())
	}
}

func (t *Testnet) tell(format string, args ...any) {
	if t.opt.Text != nil {
		fmt.Fprintf(t.opt.Text, format, args...)
	}
}

// outFlag is what a command needs to find this testnet.
func (t *Testnet) outFlag() string {
	if t.folder.Dir == DefaultFolder() {
		return ""
	}
	return " --out " + t.folder.Dir
}

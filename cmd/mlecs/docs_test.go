//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// quick are the flags that testnets of the docs get beside their own, so that they last seconds.
const quick = "--edges 2 --rounds 1 --steps 4"

// docPatience bounds the blocks of one page.
const docPatience = 8 * time.Minute

// TestDocsRun runs the shell blocks of the docs that are marked as runnable (```sh run), those of a page one after the other in one shell, in
// a folder and a home of their own, by the test binary as mlecs. Testnets get few nodes, rounds and steps.
func TestDocsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts several testnets")
	}
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, page := range append(pages, filepath.Join("..", "..", "README.md")) {
		blocks := runnable(t, page)
		if len(blocks) == 0 {
			continue
		}
		ran++
		t.Run(filepath.Base(page), func(t *testing.T) { runBlocks(t, blocks) })
	}
	if ran < 3 {
		t.Errorf("only %d pages have blocks to run: the test looks in the wrong place", ran)
	}
}

// block is one fenced block, from a line on.
type block struct {
	line int
	text string
}

// runnable are the marked blocks of a page.
func runnable(t *testing.T, page string) (blocks []block) {
	t.Helper()
	f, err := os.Open(page)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var in *block
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		switch line := lines.Text(); {
		case in == nil && line == "```sh run":
			in = &block{line: n}
		case in != nil && line == "```":
			blocks = append(blocks, *in)
			in = nil
		case in != nil:
			in.text += line + "\n"
		}
	}
	if in != nil {
		t.Errorf("%s:%d: the block has no end", page, in.line)
	}
	return blocks
}

func runBlocks(t *testing.T, blocks []block) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	wrapper := fmt.Sprintf("#!/bin/sh\nexport %s=1\ncase \"$1 $2\" in 'testnet run' | 'testnet up') exec '%s' \"$@\" %s ;; esac\nexec '%s' \"$@\"\n", asCommand, self, quick, self)
	script := "set -euo pipefail\n"
	for _, b := range blocks {
		script += fmt.Sprintf("echo '--- line %d'\n%s", b.line, b.text)
	}
	for path, text := range map[string]string{filepath.Join(bin, "mlecs"): wrapper, filepath.Join(dir, "page.sh"): script} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), docPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", filepath.Join(dir, "page.sh"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+dir, "MLECS_HOME="+filepath.Join(dir, "home"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	all := -cmd.Process.Pid
	cmd.Cancel = func() error { return syscall.Kill(all, syscall.SIGKILL) }
	err = cmd.Wait()
	stopAll(all) // nodes that a block left running
	if err != nil {
		text, _ := os.ReadFile(out.Name())
		t.Errorf("%v; what it printed:\n%s", err, text)
	}
}

// stopAll stops a group of processes, politely first: they still write to the folder that the test removes.
func stopAll(group int) {
	syscall.Kill(group, syscall.SIGTERM)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if syscall.Kill(group, 0) != nil {
			return
		}
	}
	syscall.Kill(group, syscall.SIGKILL)
}

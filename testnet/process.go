package testnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mlecs/mlecs/node/api"
)

// process is a Node as an operating system process: `EXE start --home HOME`, in a process group of its own so that a Ctrl-C at the
// terminal reaches the testnet first, with its output in a file so that nobody has to read a pipe.
type process struct {
	name, role, home, exe string

	leashed bool // the node ends when this process does
	place   Place

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// startPatience is how long a node may take until its control API answers.
const startPatience = 60 * time.Second

var _ Node = (*process)(nil)

func (p *process) Name() string { return p.name }
func (p *process) Role() string { return p.role }
func (p *process) Home() string { return p.home }
func (p *process) Log() string  { return filepath.Join(p.home, logFile) }

// API connects to whatever runs on the home: also to a node that somebody else started there.
func (p *process) API() (*api.Client, error) { return api.Dial(p.home) }

// Join runs `EXE join -`: the token goes through standard input, since other users see arguments.
func (p *process) Join(ctx context.Context, token string) error {
	log, err := p.openLog()
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, p.exe, "join", "-", "--home", p.home)
	apart(cmd)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stdin = strings.NewReader(token + "\n")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = p.place.env()
	if err = p.place.run(cmd.Start); err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return p.explain("join", err)
	}
	return nil
}

// Start starts the process and waits until it answers.
func (p *process) Start(ctx context.Context) error {
	pid, done, err := p.launch()
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	return p.answer(ctx, pid, done)
}

func (p *process) launch() (pid int, done chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil && !closed(p.done) {
		return 0, nil, fmt.Errorf("it runs already, as process %d", p.cmd.Process.Pid)
	}
	log, err := p.openLog()
	if err != nil {
		return 0, nil, err
	}
	defer log.Close()
	cmd := exec.Command(p.exe, "start", "--home", p.home)
	apart(cmd)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = p.place.env()
	var hold *os.File
	if p.leashed {
		var end *os.File
		if end, hold, err = os.Pipe(); err != nil {
			return 0, nil, err
		}
		defer end.Close()
		cmd.ExtraFiles = []*os.File{end}
		cmd.Env = append(cmd.Env, leashVariable+"=3") // where ExtraFiles begin
	}
	if err := p.place.run(cmd.Start); err != nil {
		hold.Close()
		return 0, nil, err
	}
	done = make(chan struct{})
	p.cmd, p.done, p.err = cmd, done, nil
	go func() {
		err := cmd.Wait()
		hold.Close() // nil is fine
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(done)
	}()
	return cmd.Process.Pid, done, nil
}

// answer waits until the node's control API answers, or ends the node.
func (p *process) answer(ctx context.Context, pid int, done <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if st, err := askStatus(p.home); err == nil && st.PID == pid {
			return nil
		}
		select {
		case <-tick.C:
		case <-done:
			return p.explain("start", p.Err())
		case <-ctx.Done():
			kill(pid)
			<-done
			return fmt.Errorf("start %s: it does not answer on its control API: %w (see %s)", p.name, context.Cause(ctx), p.Log())
		}
	}
}

// explain says how a run ended, with the last line that it logged.
func (p *process) explain(what string, err error) error {
	if err == nil {
		err = errors.New("it ended at once")
	}
	line := lastLine(p.Log())
	if line == "" {
		return fmt.Errorf("%s %s: %w", what, p.name, err)
	}
	return api.Advise(fmt.Errorf("%s %s: %w: %s", what, p.name, err, line), "its log is %s", p.Log())
}

// Stop asks over the API, then by SIGTERM, and kills after ctx.
func (p *process) Stop(ctx context.Context) error {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if cmd == nil || closed(done) {
		return nil
	}
	client, err := p.API()
	if err == nil {
		err = client.Stop(ctx)
		client.Close()
	}
	if err != nil {
		cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			p.Kill()
		case <-ctx.Done():
			p.Kill()
		}
	case <-ctx.Done():
		p.Kill()
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	return nil
}

// Kill sends SIGKILL.
func (p *process) Kill() error {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if cmd == nil || closed(done) {
		return nil
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-done
	return nil
}

// PID of the process, 0 once it has ended.
func (p *process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || closed(p.done) {
		return 0
	}
	return p.cmd.Process.Pid
}

func (p *process) Exited() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

func (p *process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *process) openLog() (*os.File, error) {
	f, err := os.OpenFile(p.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", p.name, err)
	}
	return f, nil
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// lastLine is the last line of a log that is not empty, shortened.
func lastLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	const tail = 4096
	if info, err := f.Stat(); err == nil && info.Size() > tail {
		f.Seek(-tail, io.SeekEnd)
	}
	b, err := io.ReadAll(io.LimitReader(f, tail))
	if err != nil {
		return ""
	}
	b = bytes.TrimSpace(b)
	line := string(bytes.TrimSpace(b[bytes.LastIndexByte(b, '\n')+1:]))
	if len(line) > 400 {
		line = line[:400] + "..."
	}
	return line
}

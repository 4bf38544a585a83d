package chaos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// clockVariable shifts a node's clock by a duration.
const clockVariable = "MLECS_CLOCK_SHIFT"

// stopPatience is how long a clean stop may take.
const stopPatience = 30 * time.Second

func (l *lab) kill(ctx context.Context, s Step) error {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	l.say("kill %s", nodeNames(list))
	return each(list, func(s *subject) error { return s.end(s.Kill) })
}

// crash kills nodes at whatever they do, starting included, and starts them again at once without waiting for them.
func (l *lab) crash(ctx context.Context, s Step) error {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	l.say("crash %s", nodeNames(list))
	for _, s := range list {
		l.kills[s.doing()]++
	}
	return each(list, func(s *subject) error {
		s.mu.Lock()
		failed := s.failed
		s.mu.Unlock()
		if failed != nil {
			return failed
		}
		if err := s.end(s.Kill); err != nil {
			return err
		}
		s.begin(ctx)
		return nil
	})
}

// doing is what the node was at when it was last heard of.
func (s *subject) doing() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.starting != nil {
		select {
		case <-s.starting:
		default:
			s.phase = "starting"
		}
	}
	return s.phase
}

// start waits until the nodes answer, those too that a crash has left starting.
func (l *lab) start(ctx context.Context, s Step) error {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	l.say("start %s", nodeNames(list))
	return each(list, func(s *subject) error {
		if s.PID() == 0 {
			s.begin(ctx)
		}
		return s.settled(ctx)
	})
}

func (l *lab) stop(ctx context.Context, s Step) error {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	l.say("stop %s", nodeNames(list))
	return each(list, func(s *subject) error {
		return s.end(func() error {
			ctx, cancel := context.WithTimeout(ctx, stopPatience)
			defer cancel()
			return s.Stop(ctx)
		})
	})
}

func (l *lab) pause(ctx context.Context, s Step) error {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	l.say("pause %s", nodeNames(list))
	return each(list, func(s *subject) error { return s.freeze(true) })
}

func (l *lab) resume(ctx context.Context, s Step) error {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	l.say("resume %s", nodeNames(list))
	return each(list, func(s *subject) error { return s.freeze(false) })
}

// freeze stops the process at the instruction where it is, or lets it go on.
func (s *subject) freeze(on bool) error {
	pid := s.PID()
	if pid == 0 {
		return errors.New("it does not run")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = on
	if err := freeze(pid, on); err != nil {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	return nil
}

// release lets a paused process go on, so that it can be stopped, and waits for a start under way.
func (s *subject) release() {
	s.mu.Lock()
	paused, starting := s.paused, s.starting
	s.wanted = false
	s.mu.Unlock()
	if paused {
		s.freeze(false)
	}
	if starting != nil {
		<-starting
	}
}

// clock starts nodes anew with a clock that is off.
func (l *lab) clock(ctx context.Context, s Step) error {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	shift, _ := readShift(s.Args[1])
	l.say("the clock of %s is off by %s", nodeNames(list), shift)
	return each(list, func(s *subject) error {
		if err := s.end(s.Kill); err != nil {
			return err
		}
		s.placed.shift = shift
		s.begin(ctx)
		return s.settled(ctx)
	})
}

func (l *lab) partition(ctx context.Context, s Step) error {
	if l.wires == nil {
		return errNoNetwork
	}
	one, other, err := l.sides(ctx, s)
	if err != nil {
		return err
	}
	l.say("partition: %s against %s", nodeNames(one), nodeNames(other))
	l.links.cut(namesOf(one), namesOf(other))
	return nil
}

// errNoNetwork says that the script forgot a line.
var errNoNetwork = errors.New("links can only be changed if the script begins with a line that says: network")

// sides are the nodes before and after the bar; rest is whoever is not named.
func (l *lab) sides(ctx context.Context, s Step) (one, other []*subject, err error) {
	first, second, swapped := s.Args[0], s.Args[2], false
	if strings.Contains(first, "rest") {
		first, second, swapped = second, first, true
	}
	if one, err = l.pick(ctx, first); err != nil {
		return nil, nil, err
	}
	if other, err = l.pick(ctx, second, one...); err != nil {
		return nil, nil, err
	}
	if swapped {
		one, other = other, one
	}
	return one, other, nil
}

func (l *lab) heal(context.Context, Step) error {
	l.say("heal")
	l.links.heal()
	return nil
}

func (l *lab) link(ctx context.Context, s Step) error {
	if l.wires == nil {
		return errNoNetwork
	}
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	delay, loss := s.duration("delay", 0), s.percent("loss")
	l.say("links of %s: %s later, %.0f %% lost", nodeNames(list), delay, 100*loss)
	for _, s := range list {
		l.links.set(s.Name(), delay, loss)
	}
	return nil
}

func (l *lab) fill(ctx context.Context, s Step) error {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	leave := s.size("leave", 0)
	return each(list, func(s *subject) error {
		how, err := l.disks.fill(s.Name(), leave)
		if err == nil {
			l.say("fill the disk of %s: %s", s.Name(), how)
		}
		return err
	})
}

func (l *lab) free(ctx context.Context, s Step) error {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	l.say("free the disk of %s", nodeNames(list))
	return each(list, func(s *subject) error { return l.disks.free(s.Name()) })
}

// corrupt changes a byte in the middle of some blobs, as a failing disk would.
func (l *lab) corrupt(ctx context.Context, s Step) error {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	for _, subject := range list {
		var files []string
		err := filepath.WalkDir(filepath.Join(subject.Home(), "blobs"), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && strings.HasPrefix(d.Name(), "bafk") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("list the blobs of %s: %w", subject.Name(), err)
		}
		count := s.count("count", 1)
		if len(files) < count {
			return fmt.Errorf("%s has only %d blobs", subject.Name(), len(files))
		}
		l.dice.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
		for _, path := range files[:count] {
			if err := flip(path); err != nil {
				return fmt.Errorf("corrupt a blob of %s: %w", subject.Name(), err)
			}
		}
		l.say("corrupt %d of %d blobs of %s", count, len(files), subject.Name())
	}
	return nil
}

// flip changes the byte in the middle of a file.
func flip(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > 0 {
		b := make([]byte, 1)
		at := info.Size() / 2
		if _, err = f.ReadAt(b, at); err == nil {
			b[0] ^= 0xff
			_, err = f.WriteAt(b, at)
		}
	}
	return errors.Join(err, f.Close())
}

func namesOf(list []*subject) []string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.Name()
	}
	return names
}

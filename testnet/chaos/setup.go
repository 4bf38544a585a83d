package chaos

import (
	"fmt"
	"time"
)

// Setup is the testnet that a script wants.
type Setup struct {
	Edges, Supers int
	Rounds        int           // the federation ends after these
	Steps         int           // of an edge in a round
	Rows          int           // generated for each home
	Deadline      time.Duration // of a round
	Network       bool          // links between the nodes can be cut and slowed
	Disks         map[string]int64
}

func defaultSetup() Setup {
	return Setup{Edges: 3, Supers: 1, Rounds: 10000, Steps: 20, Rows: 24, Deadline: 15 * time.Second}
}

// setupWords are those that describe the testnet.
var setupWords = map[string]func(*Setup, []string) error{
	"edges":    func(s *Setup, args []string) error { return setCount(&s.Edges, args, 64) },
	"supers":   func(s *Setup, args []string) error { return setCount(&s.Supers, args, 16) },
	"rounds":   func(s *Setup, args []string) error { return setCount(&s.Rounds, args, 10000) },
	"steps":    func(s *Setup, args []string) error { return setCount(&s.Steps, args, 1000) },
	"rows":     func(s *Setup, args []string) error { return setCount(&s.Rows, args, 1000) },
	"deadline": setDeadline,
	"network": func(s *Setup, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("network takes nothing after it")
		}
		s.Network = true
		return nil
	},
	"disk": setDisk,
}

func setCount(to *int, args []string, most int) error {
	if len(args) != 1 {
		return fmt.Errorf("want one number after it")
	}
	n, err := readCount(args[0])
	if err == nil && n > most {
		err = fmt.Errorf("%d is more than %d", n, most)
	}
	*to = n
	return err
}

func setDeadline(s *Setup, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want: deadline DURATION")
	}
	d, err := readDuration(args[0])
	if err == nil && d <= 0 {
		err = fmt.Errorf("a round needs some time")
	}
	s.Deadline = d
	return err
}

// setDisk gives one node a disk of its own.
func setDisk(s *Setup, args []string) error {
	if len(args) != 2 || !nodeName.MatchString(args[0]) {
		return fmt.Errorf("want: disk NODE SIZE")
	}
	size, err := readSize(args[1])
	if err == nil && size < 128<<20 {
		err = fmt.Errorf("a node needs a disk of at least 128MiB: %dMiB must stay free on it, and it holds back 32MiB for emergencies", 64)
	}
	if s.Disks == nil {
		s.Disks = map[string]int64{}
	}
	s.Disks[args[0]] = size
	return err
}

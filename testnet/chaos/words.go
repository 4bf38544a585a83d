package chaos

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Words that a script's lines are made of: durations, sizes, names of nodes. Each read function is also the parser's check.

// longest is how long a script may wait for one thing.
const longest = time.Hour

// span is a duration, or a range of which a moment is drawn: 2s, 50ms..400ms.
type span struct{ from, to time.Duration }

func readSpan(s string) (span, error) {
	first, last, isRange := strings.Cut(s, "..")
	if !isRange {
		last = first
	}
	from, err := time.ParseDuration(first)
	if err != nil {
		return span{}, fmt.Errorf("%q is no duration; write 500ms, 20s, 2m or 50ms..400ms", s)
	}
	to, err := time.ParseDuration(last)
	if err != nil {
		return span{}, fmt.Errorf("%q is no duration; write 500ms, 20s, 2m or 50ms..400ms", s)
	}
	if from < 0 || to < from || to > longest {
		return span{}, fmt.Errorf("%q must be from 0 to %s, the shorter one first", s, longest)
	}
	return span{from, to}, nil
}

func readDuration(s string) (time.Duration, error) {
	r, err := readSpan(s)
	if err == nil && r.from != r.to {
		err = fmt.Errorf("%q: one duration is wanted, not a range", s)
	}
	return r.from, err
}

// readShift reads how far a clock is off: +10m, -90s.
func readShift(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d.Abs() > 24*time.Hour {
		return 0, fmt.Errorf("%q is no shift of a clock; write +10m or -90s, a day at most", s)
	}
	return d, nil
}

// readMore reads a number of rounds to come: +3.
func readMore(s string) (uint64, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "+"), 10, 16)
	if err != nil || !strings.HasPrefix(s, "+") || n == 0 {
		return 0, fmt.Errorf("%q is no number of rounds to come; write +3", s)
	}
	return n, nil
}

func readCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1e6 {
		return 0, fmt.Errorf("%q must be a number from 1 to 1000000", s)
	}
	return n, nil
}

// readSize reads bytes: 0, 4MiB, 512KiB.
func readSize(s string) (int64, error) {
	number, unit := s, int64(1)
	for name, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if n, ok := strings.CutSuffix(s, name); ok {
			number, unit = n, bytes
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (64<<30)/unit {
		return 0, fmt.Errorf("%q is no size; write 512KiB, 64MiB or 1GiB, 64GiB at most", s)
	}
	return n * unit, nil
}

// readPercent reads a share: 5%.
func readPercent(s string) (float64, error) {
	number, ok := strings.CutSuffix(s, "%")
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !ok || math.IsNaN(f) || f < 0 || f > 100 {
		return 0, fmt.Errorf("%q is no share; write 5%%", s)
	}
	return f / 100, nil
}

func readFactor(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 1 && f <= 100) {
		return 0, fmt.Errorf("%q is no factor; write a number from 1 to 100, for example 1.5", s)
	}
	return f, nil
}

// Groups of nodes. any, any-edge and any-super draw one; rest is who is not named elsewhere in the line.
var groups = []string{"all", "edges", "supers", "any", "any-edge", "any-super", "leader", "others", "aggregating", "rest"}

var nodeName = regexp.MustCompile(`^(edge|super)-[1-9][0-9]{0,2}$`)

// readNodes reads names of nodes and groups, divided by commas.
func readNodes(s string) ([]string, error) {
	names := strings.Split(s, ",")
	for _, name := range names {
		known := nodeName.MatchString(name)
		for _, g := range groups {
			known = known || name == g
		}
		if !known {
			return nil, fmt.Errorf("%q is no node; write edge-1, super-1, or one of %s; several divided by commas", name, strings.Join(groups, ", "))
		}
	}
	return names, nil
}

var stateName = regexp.MustCompile(`^[a-z][a-z-]{0,31}$`)

func readState(s string) (string, error) {
	if !stateName.MatchString(s) {
		return "", fmt.Errorf("%q is no state, as mlecs status shows it", s)
	}
	return s, nil
}

// checker is what the parser needs of a read function.
type checker func(string) error

func check[T any](read func(string) (T, error)) checker {
	return func(s string) error {
		_, err := read(s)
		return err
	}
}

// bar is the | between the sides of a partition.
func bar(s string) error {
	if s != "|" {
		return errors.New("want | between the two sides")
	}
	return nil
}

// Values of a step that the parser has checked.

func (s Step) span(i int) span {
	v, _ := readSpan(s.Args[i])
	return v
}

func (s Step) duration(key string, otherwise time.Duration) time.Duration {
	if text, ok := s.Keys[key]; ok {
		otherwise, _ = readDuration(text)
	}
	return otherwise
}

func (s Step) count(key string, otherwise int) int {
	if text, ok := s.Keys[key]; ok {
		otherwise, _ = readCount(text)
	}
	return otherwise
}

func (s Step) size(key string, otherwise int64) int64 {
	if text, ok := s.Keys[key]; ok {
		otherwise, _ = readSize(text)
	}
	return otherwise
}

func (s Step) percent(key string) float64 {
	v, _ := readPercent(s.Keys[key])
	return v
}

func (s Step) factor(key string, otherwise float64) float64 {
	if text, ok := s.Keys[key]; ok {
		otherwise, _ = readFactor(text)
	}
	return otherwise
}

func (s Step) more(i int) uint64 {
	v, _ := readMore(s.Args[i])
	return v
}

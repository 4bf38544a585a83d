package node

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/mlecs/mlecs/node/api"
)

// Subsystems of a node whose log levels can be set one by one.
const (
	logNode    = "node"
	logLearner = "learner"
	logP2P     = "p2p"
	allLogs    = "all"
)

var subsystems = []string{logNode, logLearner, logP2P}

// logLevels is the level of every subsystem, which can be changed while the node runs.
type logLevels map[string]*slog.LevelVar

func newLogLevels(at slog.Level) logLevels {
	l := logLevels{}
	for _, name := range subsystems {
		l[name] = &slog.LevelVar{}
		l[name].Set(at)
	}
	return l
}

// logger is base for one subsystem, whose level decides in place of base's.
func (l logLevels) logger(base *slog.Logger, subsystem string) *slog.Logger {
	return slog.New(leveled{base.Handler(), l[subsystem]}).With("in", subsystem)
}

// list gives all levels.
func (l logLevels) list() []api.LogLevel {
	var list []api.LogLevel
	for _, name := range subsystems {
		list = append(list, api.LogLevel{Subsystem: name, Level: strings.ToLower(l[name].Level().String())})
	}
	return list
}

// set changes one level, or all.
func (l logLevels) set(want api.LogLevel) error {
	const example = "for instance: mlecs log p2p debug"
	level, err := Config{Log: want.Level}.logLevel()
	if err != nil {
		return api.Advise(fmt.Errorf("%w: %w", api.ErrBadRequest, err), example)
	}
	if want.Subsystem != allLogs && !slices.Contains(subsystems, want.Subsystem) {
		return api.Advise(fmt.Errorf("%w: no subsystem is called %.40q; there are %s, and %s", api.ErrBadRequest, want.Subsystem, strings.Join(subsystems, ", "), allLogs), example)
	}
	for name, v := range l {
		if want.Subsystem == allLogs || want.Subsystem == name {
			v.Set(level)
		}
	}
	return nil
}

// leveled is a handler with a level of its own.
type leveled struct {
	slog.Handler
	level *slog.LevelVar
}

func (h leveled) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }
func (h leveled) WithAttrs(a []slog.Attr) slog.Handler {
	return leveled{h.Handler.WithAttrs(a), h.level}
}
func (h leveled) WithGroup(name string) slog.Handler {
	return leveled{h.Handler.WithGroup(name), h.level}
}

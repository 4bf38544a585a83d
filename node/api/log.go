package api

import (
	"context"
	"net/http"
)

// LogLevel is what a subsystem of a node logs.
type LogLevel struct {
	Subsystem string `json:"subsystem"` // all, in a request: every one
	Level     string `json:"level"`     // debug, info, warn or error
}

// handleLog routes the log levels.
func handleLog(rs *routes, c Controller) {
	get(rs, "/v1/log", "Log level of every subsystem", func(*http.Request) ([]LogLevel, error) { return filled(c.LogLevels(), nil) })
	ask(rs, http.MethodPut, "/v1/log", "Set the log level of a subsystem until the node stops", func(_ context.Context, l LogLevel) ([]LogLevel, error) {
		if err := c.SetLogLevel(l); err != nil {
			return nil, err
		}
		return filled(c.LogLevels(), nil)
	})
}

// LogLevels asks for the log level of every subsystem.
func (c *Client) LogLevels(ctx context.Context) ([]LogLevel, error) {
	return call[[]LogLevel](ctx, c, http.MethodGet, "/v1/log", nil)
}

// SetLogLevel sets one until the node stops, and gives all.
func (c *Client) SetLogLevel(ctx context.Context, l LogLevel) ([]LogLevel, error) {
	return call[[]LogLevel](ctx, c, http.MethodPut, "/v1/log", l)
}

package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Kinds of events.
const (
	EventRound = "round" // an aggregate arrived, or was made here
	EventDelta = "delta" // a delta arrived, or was made here
	EventPeer  = "peer"  // a member connected or went away
	EventPhase = "phase" // the learner began something
	EventStep  = "step"  // the learner's progress, at most once a second
	EventError = "error" // something failed
)

// Event is something that happened at a node. Fields that say nothing about its kind are zero.
type Event struct {
	ID    uint64  `json:"id"`    // rises, also over restarts of the node
	Time  int64   `json:"time"`  // Unix milliseconds
	Kind  string  `json:"kind"`  // one of the Event constants
	Peer  string  `json:"peer"`  // peer id of the author, or of the peer
	Name  string  `json:"name"`  // of that peer
	Round uint64  `json:"round"` // of a round or delta
	CID   string  `json:"cid"`   // of the record
	Bytes int64   `json:"bytes"` // of a delta's or an aggregate's blobs
	Text  string  `json:"text"`  // of a peer: connected or away; of a phase or step: the phase; of an error: what failed, and what to do
	Done  int     `json:"done"`  // of a step
	Total int     `json:"total"` // of a step
	Loss  float64 `json:"loss"`  // of a step
}

// heartbeat is how often a silent stream of events says that it is still there.
const heartbeat = 15 * time.Second

// handleEvents routes the stream of events: server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) without
// a name, each with its id, so that a client that connects again misses nothing that the node still remembers.
func handleEvents(rs *routes, c Controller) {
	rs.add(route{
		method: http.MethodGet, path: "/v1/events", summary: "Server-sent events, each an Event as JSON", media: "text/event-stream",
		query: []param{{"after", "integer", "id of the last event seen; the header Last-Event-ID says the same"}},
	}, func(w http.ResponseWriter, r *http.Request) {
		after, err := number(r, "after")
		if err != nil {
			writeError(w, err)
			return
		}
		if last, err := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
			after = max(after, last)
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		stream(ctx, w, c.Events(ctx, after))
	})
}

// stream writes events until they end, or the client is gone.
func stream(ctx context.Context, w http.ResponseWriter, events <-chan Event) {
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{}) // a stream has no end
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // proxies must not hold events back
	io.WriteString(w, "retry: 2000\n\n")
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		if control.Flush() != nil {
			return
		}
		var err error
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			var b []byte
			if b, err = json.Marshal(e); err == nil {
				_, err = fmt.Fprintf(w, "id: %d\ndata: %s\n\n", e.ID, b)
			}
		case <-beat.C:
			_, err = io.WriteString(w, ": still here\n\n")
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// maxEvent bounds one line of a stream.
const maxEvent = 1 << 20

// Watch calls f for every event after the one with the given id (0: those that the node remembers, too) until ctx ends, f fails, or the
// node goes away: it returns ctx's error, f's, or one that says so.
func (c *Client) Watch(ctx context.Context, after uint64, f func(Event) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/events?after="+strconv.FormatUint(after, 10), nil)
	if err != nil {
		return fmt.Errorf("watch the node %s: %w", c.at, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.gone("watch", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("watch the node %s: it answered with status %d", c.at, resp.StatusCode)
	}
	err = readEvents(resp.Body, f)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF):
		return c.gone("watch", errors.New("it has stopped"))
	}
	return err
}

// readEvents calls f for every event of a stream. It returns f's error, io.EOF at the end, or why the stream cannot be read.
func readEvents(r io.Reader, f func(Event) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		if !ok {
			continue // an id, which the event has too, a comment, or the end of an event
		}
		var e Event
		if err := json.Unmarshal(data, &e); err != nil {
			return fmt.Errorf("read event: %w", err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return io.EOF
}

package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// GCRequest asks for blobs that only older rounds need to be removed.
type GCRequest struct {
	KeepRounds int `json:"keep_rounds"` // 0: as the config says
}

// Swept tells what was removed.
type Swept struct {
	KeepRounds int   `json:"keep_rounds"`
	Removed    int   `json:"removed"` // blobs
	Bytes      int64 `json:"bytes"`   // of them
	Kept       int   `json:"kept"`    // blobs
}

// CheckRequest asks for everything in the home to be read and compared with its name.
type CheckRequest struct {
	Repair bool `json:"repair"` // remove what is damaged, so that it is fetched again, and mend the index
}

// Check is what was found.
type Check struct {
	Records int     `json:"records"`
	Blobs   int     `json:"blobs"`
	Bytes   int64   `json:"bytes"` // of blobs
	Faults  []Fault `json:"faults"`
}

// Fault is something that is not as it should be.
type Fault struct {
	What     string `json:"what"`
	Why      string `json:"why"`
	Repaired bool   `json:"repaired"`
}

// Upkeep looks after a node's disk.
type Upkeep interface {
	GC(ctx context.Context, r GCRequest) (*Swept, error)
	Check(ctx context.Context, r CheckRequest) (*Check, error)
	// Backup writes what only the node can read while it runs, as a tar: a snapshot of the index, the learner's states, the public rows and
	// the blobs. Keys and config are not in it.
	Backup(ctx context.Context, w io.Writer) error
}

func handleUpkeep(rs *routes, c Upkeep) {
	ask(rs, http.MethodPost, "/v1/gc", "Remove the blobs that the newest rounds do not need", c.GC)
	ask(rs, http.MethodPost, "/v1/fsck", "Read every record and blob, and compare it with its name", c.Check)
	rs.add(route{method: http.MethodGet, path: "/v1/backup", summary: "What a backup needs of the running node, without its keys", media: "application/x-tar"}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-tar")
		out := &begun{w: w}
		if err := c.Backup(r.Context(), out); err != nil {
			if !out.yes {
				writeError(w, err)
				return
			}
			panic(http.ErrAbortHandler) // the reader must see that the end is missing
		}
	})
}

// begun remembers whether anything was written.
type begun struct {
	w   io.Writer
	yes bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.w.Write(p)
}

// GC asks the node to remove what the newest rounds do not need.
func (c *Client) GC(ctx context.Context, r GCRequest) (*Swept, error) {
	return call[*Swept](ctx, c, http.MethodPost, "/v1/gc", r)
}

// Check asks the node to check its disk.
func (c *Client) Check(ctx context.Context, r CheckRequest) (*Check, error) {
	return call[*Check](ctx, c, http.MethodPost, "/v1/fsck", r)
}

// Backup writes the node's part of a backup to w. After an error w holds a part of it.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/backup", nil)
	if err != nil {
		return fmt.Errorf("ask the node %s for a backup: %w", c.at, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the node %s for a backup: %w", c.at, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the node %s for a backup: status %d", c.at, resp.StatusCode)
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("read the node's backup: %w", err)
	}
	return nil
}

package testnet

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// Report is report.json: what a testnet was, how every node did, and what it cost. Its keys are an interface to other programs.
type Report struct {
	Version       string        `json:"version"`
	Seed          uint64        `json:"seed"`
	WallSeconds   float64       `json:"wall_seconds"`
	Dataset       Dataset       `json:"dataset"`
	Nodes         []NodeReport  `json:"nodes"`
	Rounds        []RoundReport `json:"rounds"` // 1 and up; the super-peer's round 0 has no inputs
	Communication Communication `json:"communication"`
}

// Dataset says what the nodes learned from.
type Dataset struct {
	Path       string   `json:"path"`
	Generated  bool     `json:"generated"`
	CID        string   `json:"cid"` // of the manifest of all its files, see Fingerprint
	Rows       int      `json:"rows"`
	Modalities []string `json:"modalities"`
}

// NodeReport is one node at the end.
type NodeReport struct {
	Name            string   `json:"name"`
	Role            string   `json:"role"`
	Family          int      `json:"family,omitempty"` // of an edge's structure and base model, if the testnet has several
	PeerID          string   `json:"peer_id"`
	PID             int      `json:"pid"`
	Modalities      []string `json:"modalities"`
	Domain          string   `json:"domain"`
	Base            string   `json:"base"` // CID of its base model
	ParamsTotal     int64    `json:"params_total"`
	ParamsTrainable int64    `json:"params_trainable"`
	TestRows        int      `json:"test_rows"`
	RougeLsum       Compared `json:"rouge_lsum"`
	ExactMatch      Compared `json:"exact_match"`
	BytesSent       int64    `json:"bytes_sent"`
	BytesReceived   int64    `json:"bytes_received"`
}

// Compared is one metric (0 to 1) on a node's own test rows; null where a node has no such score.
type Compared struct {
	Constant   *float64 `json:"constant"`   // the best constant answer
	Standalone *float64 `json:"standalone"` // same model and budget, no exchange
	Together   *float64 `json:"together"`   // after the last round
}

// RoundReport is one aggregate with what went into it.
type RoundReport struct {
	Round     uint64        `json:"round"`
	Leader    string        `json:"leader"`
	Aggregate string        `json:"aggregate"`
	Seconds   float64       `json:"seconds"` // since the aggregate before
	Inputs    []InputReport `json:"inputs"`
}

// InputReport is one delta of a round.
type InputReport struct {
	Delta      string   `json:"delta"`
	Author     string   `json:"author"`
	Modalities []string `json:"modalities"`
	Weight     float64  `json:"weight"`
	Late       uint64   `json:"late,omitempty"` // rounds that it came late
}

// WriteJSON writes the report indented.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

// ReadReport reads a report.json.
func ReadReport(path string) (*Report, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("read report %s: %w", path, err)
	}
	return &r, nil
}

// edges are the reports of the edges, and families how many families they are of.
func (r *Report) edges() (edges []NodeReport, families int) {
	for _, n := range r.Nodes {
		if n.Role == roleEdge {
			edges = append(edges, n)
			families = max(families, n.Family+1)
		}
	}
	return edges, families
}

// means averages every column over the edges that have it.
func means(edges []NodeReport) NodeReport {
	pick := func(f func(NodeReport) *float64) *float64 {
		sum, count := 0.0, 0
		for _, n := range edges {
			if v := f(n); v != nil {
				sum += *v
				count++
			}
		}
		if count == 0 {
			return nil
		}
		mean := sum / float64(count)
		return &mean
	}
	m := NodeReport{
		RougeLsum: Compared{
			Constant:   pick(func(n NodeReport) *float64 { return n.RougeLsum.Constant }),
			Standalone: pick(func(n NodeReport) *float64 { return n.RougeLsum.Standalone }),
			Together:   pick(func(n NodeReport) *float64 { return n.RougeLsum.Together }),
		},
		ExactMatch: Compared{
			Constant:   pick(func(n NodeReport) *float64 { return n.ExactMatch.Constant }),
			Standalone: pick(func(n NodeReport) *float64 { return n.ExactMatch.Standalone }),
			Together:   pick(func(n NodeReport) *float64 { return n.ExactMatch.Together }),
		},
	}
	for _, n := range edges {
		m.TestRows += n.TestRows
		m.BytesSent += n.BytesSent
		m.BytesReceived += n.BytesReceived
	}
	if k := len(edges); k > 0 {
		m.TestRows /= k
		m.BytesSent /= int64(k)
		m.BytesReceived /= int64(k)
	}
	return m
}

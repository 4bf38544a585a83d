package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// Provenance tells where aggregates and deltas come from.
type Provenance interface {
	// Verify recomputes an aggregate, named by its CID or a unique prefix, from the records and blobs of its inputs; a running node fetches
	// those that it lacks. ErrNotFound and ErrAmbiguous are about the name: an aggregate that is false, or whose inputs are out of reach, is
	// no error.
	Verify(ctx context.Context, cid string) (*Verification, error)
	// Lineage is everything that a delta or an aggregate, named likewise, was made from, or the limit records nearest to it if that is not 0.
	Lineage(ctx context.Context, cid string, limit int) (*Lineage, error)
	// Records are the CIDs of all records that are stored, sorted: members that hold the same give the same.
	Records(ctx context.Context) ([]string, error)
}

// Verdicts on an aggregate, and on one component of it.
const (
	VerdictVerified = "verified" // recomputed, bit for bit
	VerdictChecked  = "checked"  // one component of it was recomputed, bit for bit
	VerdictFalse    = "false"    // recomputed, and something else came out
	VerdictUnknown  = "unknown"  // inputs are out of reach
)

// Verification is what recomputing an aggregate gave.
type Verification struct {
	Aggregate  string              `json:"aggregate"`
	Round      uint64              `json:"round"`
	Author     string              `json:"author"`
	AuthorName string              `json:"author_name"`
	Inputs     int                 `json:"inputs"`
	Verdict    string              `json:"verdict"` // verified, false or unknown
	Components []VerifiedComponent `json:"components"`
	Disputes   []Dispute           `json:"disputes"` // of all members
	Fetched    int                 `json:"fetched"`  // blobs that were not here
	Bytes      int64               `json:"bytes"`    // of them
}

// VerifiedComponent is one component of a Verification.
type VerifiedComponent struct {
	Name      string `json:"name"`
	Signature string `json:"signature"`
	Rule      string `json:"rule"`
	Inputs    int    `json:"inputs"`  // the super-peer's own contribution is one
	Claimed   string `json:"claimed"` // blob CID in the aggregate
	Found     string `json:"found"`   // blob CID recomputed; empty if it could not be
	Verdict   string `json:"verdict"`
	Detail    string `json:"detail"` // why it is false or unknown
}

// Dispute is a member's signed objection to an aggregate.
type Dispute struct {
	Author     string `json:"author"`
	AuthorName string `json:"author_name"`
	Created    int64  `json:"created"` // Unix milliseconds
	Component  string `json:"component"`
	Signature  string `json:"signature"`
	Reason     string `json:"reason"`
}

// Lineage is the Merkle DAG under a record. Every record comes before those it was made from.
type Lineage struct {
	CID     string          `json:"cid"`
	Records []LineageRecord `json:"records"`
	More    bool            `json:"more"` // there are more records than were asked for
}

// LineageRecord is one record of a Lineage.
type LineageRecord struct {
	CID        string   `json:"cid"`
	Kind       string   `json:"kind"` // empty: the record is not on this node
	Round      uint64   `json:"round"`
	Author     string   `json:"author"`
	AuthorName string   `json:"author_name"`
	Created    int64    `json:"created"`
	Parents    []string `json:"parents"`
	Blobs      int      `json:"blobs"`
	Stored     int      `json:"stored"` // blobs that are on this node
}

func handleProvenance(rs *routes, c Provenance) {
	get(rs, "/v1/verify/{cid}", "Recompute an aggregate, named by its CID or a unique prefix of it, from its inputs", func(r *http.Request) (*Verification, error) {
		return c.Verify(r.Context(), r.PathValue("cid"))
	})
	get(rs, "/v1/lineage/{cid}", "What a delta or an aggregate was made from, back to the genesis", func(r *http.Request) (*Lineage, error) {
		limit, err := number(r, "limit")
		if err != nil {
			return nil, err
		}
		return c.Lineage(r.Context(), r.PathValue("cid"), count(limit))
	}, param{"limit", "integer", "how many records, the nearest first; 0 or none: all"})
	get(rs, "/v1/records", "The CIDs of all stored records, sorted", func(r *http.Request) ([]string, error) {
		return filled(c.Records(r.Context()))
	})
}

// Verify asks the node to recompute an aggregate.
func (c *Client) Verify(ctx context.Context, cid string) (*Verification, error) {
	return call[*Verification](ctx, c, http.MethodGet, "/v1/verify/"+url.PathEscape(cid), nil)
}

// Lineage asks what a delta or an aggregate was made from.
func (c *Client) Lineage(ctx context.Context, cid string, limit int) (*Lineage, error) {
	return call[*Lineage](ctx, c, http.MethodGet, fmt.Sprintf("/v1/lineage/%s?limit=%d", url.PathEscape(cid), limit), nil)
}

// Records asks for the CIDs of all records that the node holds.
func (c *Client) Records(ctx context.Context) ([]string, error) {
	return call[[]string](ctx, c, http.MethodGet, "/v1/records", nil)
}

package api

import (
	"context"
	"net/http"
)

// Policy is how a federation goes on: what its genesis says, or its founder's last change.
type Policy struct {
	Paused     bool    `json:"paused"` // no round begins and none is closed
	Reason     string  `json:"reason"` // why it was changed last; may be empty
	Rounds     uint64  `json:"rounds"` // last round; 0: endless
	Quorum     float64 `json:"quorum"` // part of the live edges whose deltas close a round
	Min        uint64  `json:"min"`    // deltas that a round needs before its deadline
	Deadline   int64   `json:"deadline_ms"`
	CCLSteps   uint64  `json:"ccl_steps"`
	AMTSteps   uint64  `json:"amt_steps"`
	CloudSteps uint64  `json:"cloud_steps"`
	KeepRounds uint64  `json:"keep_rounds"` // 0: as each node's config says
	Record     string  `json:"record"`      // CID of the record that says so
	Created    int64   `json:"created"`     // Unix milliseconds of that record; 0 for the genesis
}

// PolicyChange is what to change; what is nil stays as it is.
type PolicyChange struct {
	Paused     *bool    `json:"paused,omitempty"`
	Reason     *string  `json:"reason,omitempty"`
	Rounds     *uint64  `json:"rounds,omitempty"`
	Quorum     *float64 `json:"quorum,omitempty"`
	Min        *uint64  `json:"min,omitempty"`
	Deadline   *int64   `json:"deadline_ms,omitempty"`
	CCLSteps   *uint64  `json:"ccl_steps,omitempty"`
	AMTSteps   *uint64  `json:"amt_steps,omitempty"`
	CloudSteps *uint64  `json:"cloud_steps,omitempty"`
	KeepRounds *uint64  `json:"keep_rounds,omitempty"`
}

// Governing changes how the federation goes on. The node's home must hold the founder key.
type Governing interface {
	// ChangePolicy gives the policy as it is then, and tells all members.
	ChangePolicy(ctx context.Context, c PolicyChange) (*Policy, error)
}

func handlePolicy(rs *routes, c Controller) {
	ask(rs, http.MethodPost, "/v1/policy", "Change the federation's round policy, or pause it; the node must hold the founder key", c.ChangePolicy)
}

// ChangePolicy asks the node to change the federation's policy.
func (c *Client) ChangePolicy(ctx context.Context, change PolicyChange) (*Policy, error) {
	return call[*Policy](ctx, c, http.MethodPost, "/v1/policy", change)
}

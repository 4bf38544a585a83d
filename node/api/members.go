package api

import (
	"context"
	"net/http"
)

// States of a member.
const (
	MemberConnected = "connected" // or this node itself
	MemberAway      = "away"
	MemberInvited   = "invited" // an invite that nobody has used
	MemberExpired   = "expired"
	MemberRevoked   = "revoked"
	MemberRotated   = "rotated" // the old identity of a member that has a new one
)

// Member holds, or held, a certificate.
type Member struct {
	Name        string `json:"name"`
	PeerID      string `json:"peer_id"` // of an unused invite: its key's
	Role        string `json:"role"`
	Delegate    bool   `json:"delegate"` // may invite and revoke
	Self        bool   `json:"self"`
	State       string `json:"state"`
	Since       int64  `json:"since"`     // Unix seconds: its first certificate
	Expires     int64  `json:"expires"`   // Unix seconds
	LastSeen    int64  `json:"last_seen"` // Unix seconds: when this node was last connected to it; 0 never
	Issuer      string `json:"issuer"`    // peer id of who signed the certificate
	Certificate string `json:"certificate"`
	Ended       string `json:"ended"` // why it is no member; empty if it is one
}

// RevokeRequest names the member, or unused invite, to put out: by peer id, by a unique beginning or end of it, or by name.
type RevokeRequest struct {
	Peer   string `json:"peer"`
	Reason string `json:"reason"`
}

// RenewRequest gives a member, named likewise, a certificate that ends later.
type RenewRequest struct {
	Peer    string `json:"peer"`
	Seconds int64  `json:"seconds"` // from now
}

// Rotation is the change of a node's identity.
type Rotation struct {
	Old         string `json:"old"`         // peer ids
	New         string `json:"new"`         // with the membership of the old one
	Certificate string `json:"certificate"` // by which the old key hands it over
	Expires     int64  `json:"expires"`     // Unix seconds: as before
}

// Membership administers members. The node's home must hold the founder key, or be a delegate's, but to rotate its own identity.
type Membership interface {
	// Revoke ends a membership everywhere, and gives the member as it is then.
	Revoke(ctx context.Context, r RevokeRequest) (*Member, error)
	Renew(ctx context.Context, r RenewRequest) (*Member, error)
	// RotateIdentity gives the node itself a new key, with which it starts again.
	RotateIdentity(ctx context.Context) (*Rotation, error)
}

func handleMembers(rs *routes, c Controller) {
	get(rs, "/v1/members", "All members, present and past, and unused invites", func(r *http.Request) ([]Member, error) { return filled(c.Members(r.Context())) })
	ask(rs, http.MethodPost, "/v1/revoke", "End a membership, or an unused invite; the node must hold the founder key or be a delegate", c.Revoke)
	ask(rs, http.MethodPost, "/v1/renew", "Give a member a certificate that ends later; the node must hold the founder key or be a delegate", c.Renew)
	do(rs, "/v1/identity/rotate", "Give the node a new key and peer id, with its membership; it starts again", c.RotateIdentity)
}

// Members asks for all members, present and past.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	return call[[]Member](ctx, c, http.MethodGet, "/v1/members", nil)
}

// Revoke asks the node to end a membership.
func (c *Client) Revoke(ctx context.Context, r RevokeRequest) (*Member, error) {
	return call[*Member](ctx, c, http.MethodPost, "/v1/revoke", r)
}

// Renew asks the node for a later end of a membership.
func (c *Client) Renew(ctx context.Context, r RenewRequest) (*Member, error) {
	return call[*Member](ctx, c, http.MethodPost, "/v1/renew", r)
}

// RotateIdentity asks the node to take a new key.
func (c *Client) RotateIdentity(ctx context.Context) (*Rotation, error) {
	return call[*Rotation](ctx, c, http.MethodPost, "/v1/identity/rotate", nil)
}

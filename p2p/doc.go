// Package p2p connects the members of one federation: libp2p host, discovery, membership gate, gossip of records, blob transfer
// and record sync. It imports storage and never learn, node, testnet or cmd.
//
// How the parts fit, from the wire inwards:
//
//   - config.go, host.go, limits.go: the libp2p host (TCP and QUIC), its limits, and what a user may set.
//   - dial.go, contacts.go, mdns.go, lookup.go: whom to dial: bootstrap addresses, members known from earlier (kept on disk), members
//     that other members told of, the LAN, and the DHT that super-peers answer.
//   - relay.go, reach.go: members that nobody can dial are reached through super-peers; what is known of this node's own reachability.
//   - strangers.go: no stream of a peer that has not proved membership gets to any handler but those that proving takes, hole punching's
//     and AutoNAT's dial-back.
//   - hello.go, gate.go: /mlecs/hello/1 proves membership both ways; until then a peer is not served, not seen by GossipSub, and is
//     disconnected after five seconds.
//   - membership.go: certificates and revocations, the chain rules, who may write which kind of record.
//   - accept.go: the one way into the store for every record from gossip, sync, hello and this node itself.
//   - gated.go: the host that gossip, sync, blob transfer, lookups and relaying stand on, which shows them members only.
//   - quota.go, conduct.go: quotas of authors, and the gray list of peers that flood or send what is wrong.
//   - gossip.go, mesh.go, replays.go: one GossipSub topic a federation, and who repeats messages on it.
//   - sync.go, sync_exchange.go, sync_known.go, sync_ranges.go, reconcile.go: /mlecs/sync/1, how two members tell what differs, and when it runs: after hello, every ten seconds, and when gossip shows a gap.
//   - blob.go, fetch.go: /mlecs/blob/1, and whom to ask for a blob; piece.go: /mlecs/piece/1, by which large ones come from many.
//   - aside.go: /mlecs/aside/1, by which a super-peer tells that it leaves rounds to others.
//   - peers.go, traffic.go, upkeep.go, block.go: what is known of members and peers, and who is disconnected.
//   - succession.go: how a member replaces its key.
//   - memberships.go: members past and present; how they are renewed and revoked.
//   - token.go, invite.go, join.go: how a new node becomes a member with nothing but a token.
//
// Membership. The founder's key signs certificates. One with Invite set names the key of an invite token, which may sign one
// certificate: of a member with the same role, until no later than the invite's own end, and with the invite's certificate as the only
// parent. An invite is single use: a node admits the first peer that it sees use it, and refuses every other one. The token is thus a
// bearer secret until it is used. If two peers use one at the same moment at nodes that cannot hear each other, each side knows its own, and the
// other is refused there; the founder answers by revoking the invite, which ends every membership that came from it.
//
// Delegates. A super-peer whose certificate has Delegate set issues invites and certificates as the founder does, but no delegates' and none that
// outlives its own, and revokes what came from it. A chain is thus founder, invite, delegate, invite, member at most.
//
// What is not protected: a peer that a member dials learns the federation's CID and the member's certificates, since one side has to
// begin. A member can read and keep everything it is served. Record times are their authors' claims: a revoked member can backdate
// records, but has nobody left to hand them to.
package p2p

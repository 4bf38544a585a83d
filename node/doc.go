// Package node is one mlecs node: its home and config, its assembly from storage, p2p and learn, its roles, and the round engine.
//
// A Home is a folder: config.yaml, identity.key, founder.key (in the home that created the federation), the store (index/ and
// blobs/), data/public/ (the federation's public rows, restricted to the node's modalities), models/ (the learner's state) and
// api.sock. CreateFederation, Invite and Join prepare it; a Node runs on it.
//
// A running Node is a few supervised services: the network (p2p), the learner (an edge or a super-peer), the standalone
// comparison, and the control API (over TCP through a door, with package web's page). They share a ledger, the index of deltas and aggregates in the order that gossip brings them:
//
//	network --records--> ledger --wakes--> learner --publishes--> network
//
// The learner drives learn/method's state machines and adds what they leave out: blobs, records, quorum, deadlines, and
// state that survives a crash. What it does for a round depends only on stored records and blobs, so that a killed node
// goes on where it was and never publishes two different deltas for one round.
//
// Rounds: chain.go tells which aggregates stand and what may go into the next one, turn.go whose turn it is to close a round, pace.go how long to
// wait, collect.go what for, cloudless.go what edges do without super-peers, policy.go what the founder may change.
//
// Around it: audit.go and verify.go recompute aggregates before they are taken over, members.go administers members, rotate.go gives the node a new key, gc.go, fsck.go, backup.go
// and space.go look after the disk, doctor.go examines a node from outside, trace.go and package otlp tell what a round's time went to, configkeys.go explains
// the config, clock.go has the time that records say, thrift.go gives memory back while there is nothing to do. Whoever stores blobs or files before a record names them holds Node.storing.
//
// What every inspecting command shows comes from an api.Source: the running node's, or that of a stopped node's store, of which recent.go reads no more
// than it takes; history.go and lineage.go tell of rounds and deltas.
//
// Questions to the model (Eval, Generate) are answered by a copy of it, loaded from what the learner stored last: see current.go.
//
// Package node must not be imported by storage, p2p or learn.
package node

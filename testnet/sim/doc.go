// Package sim runs many nodes' network stack in one process, on a simulated network and in virtual time, to see how a federation scales:
// whether every record reaches every node, how long that takes, and what it costs each node.
//
// What is real: package p2p with its membership proofs, gossip and sync, libp2p's hosts over QUIC, and a store for each node. What is not:
// packets travel through memory (simnet) with a latency and a bandwidth for each link, and time stands still while any goroutine can run
// (testing/synctest). Latencies are thus those of a machine that is fast enough, on however slow a one they are measured.
//
// Every node is an edge with a certificate and knows those of all others, as in a federation that has been together for a while, and a
// few members' addresses; it finds further ones as nodes do. Keys, addresses, who knows whom and who publishes come from the seed;
// GossipSub's own choices do not.
//
// It imports p2p and storage, and nothing of nodes or learning.
package sim

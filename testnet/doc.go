// Package testnet runs a whole federation on one machine: edges and super-peers that gossip over loopback, each in its own
// home folder under one out folder, as operating system processes or inside this process.
//
// How its parts fit:
//
//   - Options say what to run; Run builds, starts, watches, reports and stops a testnet, Up leaves it running.
//   - plan.go turns a data set into homes: a share of the rows for every edge, a public part for the super-peers.
//   - Node is one node, whatever it runs in: process.go starts `mlecs start` in a process group of its own,
//     inprocess.go calls the node package. Tests and scripts stop, kill and start nodes through it.
//   - watch.go polls the nodes' control APIs and tells a Display what changes; it ends when all are done or nothing moves.
//   - report.go, tables.go and curves.go say how it went: report.json, report.md, curves.png and curves.svg.
//   - folder.go keeps testnet.json, by which Ps, Down and Logs (and `mlecs ... --node NAME`) find the nodes later.
//
// A folder looks like this:
//
//	OUT/testnet.json      names, homes, pids (0600)
//	OUT/data/             the generated data set, if none was given
//	OUT/nodes/super-1/    a node's home: config.yaml, identity.key, index/, blobs/, data/, node.log
//	OUT/nodes/edge-1/
//	OUT/report.json, report.md, curves.png, curves.svg
//
// It looks at nodes only through node.Home and the control API, and must never import p2p or cmd.
package testnet

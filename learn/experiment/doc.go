// Package experiment compares learning methods on one data set: the methods of learn/method, the very code that the daemon runs, are driven
// by a loop with exchange in memory, over the same nodes, rows, initial weights and seeds.
//
//	setting.go   what a federation is like, shared with the testnet
//	deal.go      how its data set is dealt out
//
// It must not import node, p2p or storage.
package experiment

// Package experiment compares learning methods on one data set: the methods of learn/method, the very code that the daemon runs, are driven
// by a loop with exchange in memory, over the same nodes, rows, initial weights and seeds.
//
//	setting.go   what a federation is like, shared with the testnet
//	deal.go      how its data set is dealt out
//	world.go     one seed's nodes, rows and base models, and how a method learns and is scored in them
//	suite.go     all methods on all seeds, so that a run that was finished is not repeated
//	tune.go      the search for hyper-parameters, on validation rows
//	results.go   results.json, and what the runs say together
//	bootstrap.go means, paired gains and their intervals
//	table.go     tables for people
//	curves.go    scores by round, drawn
//
// It must not import node, p2p or storage.
package experiment

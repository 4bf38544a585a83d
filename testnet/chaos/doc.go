// Package chaos breaks a testnet of real processes as a script says, and gives a verdict on what it did to it.
//
// How its parts fit:
//
//   - script.go, setup.go, words.go: the script's language; verbs.go is the one list of what a line can say.
//   - scenarios/ holds the built-in scripts: `mlecs testnet chaos NAME` runs one, a file of the user's own runs likewise.
//   - run.go makes the testnet, does what the script says line by line, and collects checks in a Verdict (verdict.go).
//   - subject.go is one node under test; faults.go breaks and mends; expect.go and rounds.go look at what became of it.
//   - witness.go remembers what every node ever said it holds: acknowledged is what a node has told of over its API.
//   - links.go says which nodes reach each other, how fast; it is carried out by network namespaces joined by a switch in this process
//     (namespaces_linux.go, switch.go), or without root by proxies between the processes (proxies.go).
//   - disks.go gives a node a small disk of its own; burden.go measures what a node takes of the machine.
//   - intruder.go is a peer with software of its own, that speaks the protocols raw; strangers.go, hostile.go and liar.go are what it does.
//
// A script is lines of words; # begins a comment, quotes hold a text together. It begins with what the testnet is like:
//
//	edges 3              supers 2             how many of each; flags may ask for others
//	rounds 10000         steps 20             of the federation; of an edge in a round
//	rows 24              deadline 15s         generated for each node; of a round
//	network                                   links can be cut and slowed
//	disk edge-1 256MiB                        a file system of its own
//
// and goes on with what is done to it, and what is expected:
//
//	expect "rounds go on" rounds +2 within=60s
//	repeat 200
//	  sleep 50ms..400ms
//	  crash any
//	end
//	expect "nothing acknowledged is lost" kept
//
// Nodes are named edge-1, super-1, or as a group: all, edges, supers; any, any-edge, any-super (one, drawn by the seed); leader (who made the
// newest aggregate) and others; aggregating (a super-peer that is closing a round at this moment); rest (who is not named on the other side).
// Several are divided by commas. rounds +N counts from the last mark line.
//
// A failed expectation is a failed check, and the script goes on; what cannot be done at all ends it.
package chaos

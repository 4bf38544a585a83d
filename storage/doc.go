// Package storage is a node's disk: its home folder with an index of records and small state, and files named by the CID of their content.
//
//	lock          held while the home is open; holds the process id of the node (lock.go)
//	index/        Badger: records by CID, by arrival, by kind, by author, by round and on the timeline of sync; small state under "/"-separated keys
//	              (index.go, records.go, authors.go, rounds.go, timeline.go, state.go); older schemas are brought to the newest at Open
//	              (migrate.go), and what a kill left before its first byte is removed (newborn.go)
//	blobs/xy/CID  blobs, xy being the last two characters of the CID (blobs.go)
//	blobs/partial downloads, resumed after a restart, and temporary files, removed at the next Open (partial.go)
//	ballast       disk space held back for recovery on a full disk (space.go)
//
// Check (check.go) reads all of it and mends the index, Sweep (sweep.go) removes blobs that nobody wants, Snapshot (snapshot.go) copies the index
// while it is in use.
//
// The rest of a home (config, key, socket) belongs to package node.
//
// What a method has stored when it returns survives kill -9 and, as far as the disk obeys fsync, loss of power. A Store is safe for
// concurrent use; only one process has a home open for writing.
//
// Badger maps its files into memory and dies of SIGBUS when the disk fills up, so every write first asks the space guard, which
// refuses (ErrNoSpace) while there is still room for what Badger does on its own.
//
// The package imports record and nothing above it: it verifies that bytes match their CID, but knows neither members nor what rounds are for.
package storage

// Package api is a node's control API, HTTP/JSON under /v1 on a unix socket in the home and, behind a Gate, on TCP; and its typed client.
//
// routes.go is the one list of what it answers: the mux and the OpenAPI 3.1 document (GET /v1/openapi.json) are both made from it, the
// schemas from the Go types of this package. GET /v1/events is a stream of server-sent events (events.go); /healthz and /readyz are for
// supervisors.
//
// Rows in a body are multipart/form-data of two parts, "rows" (a metadata.jsonl) and "files" (a tar of the files that it names): a client
// need not share a file system with the node. There are limits on size, and one such request is at work at a time.
//
// Source is what every inspecting command asks. A running node implements it (its Client does too, over the socket), and so does the
// offline reader of a stopped node's home in package node: the CLI inspects both alike. Errors travel as {"error","advice"}
// with a status code; see Error.
//
// The socket is api.sock (0600) in the home folder (0700). Unix socket paths are limited to about 100 bytes: for a longer home
// path the socket lies in a private temporary folder, and the file api.path in the home says where.
//
// The package holds no logic of the node and imports nothing of this module.
package api

// Package api is a node's control API: HTTP/JSON under /v1 on a unix socket in the home, and its typed client.
//
//	GET  /v1/status /v1/peers /v1/rounds /v1/deltas /v1/models /v1/scores
//	GET  /v1/deltas/{cid}    a full CID or a unique prefix of one
//	POST /v1/invite          InviteRequest -> InviteReply
//	POST /v1/stop            begins a clean stop
//	POST /v1/eval?split=     -> Evaluation of the node's model on its own rows, or on those of the body
//	POST /v1/generate?row=   -> Answer of the node's model; strict=true refuses modalities that the node does not use
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

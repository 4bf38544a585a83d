// Package web is the page that a node shows in a browser: files embedded in the binary that ask the node's own API and nobody else.
//
// The page is plain HTML, CSS and JavaScript modules under page/, without a build step and without a library: what it draws (the gossip
// graph, the timeline of rounds, the learning curves, the lineage) is SVG made by hand. The content security policy allows nothing but
// the page's own files and requests to its own origin, so that it works offline, and text from records cannot become script.
//
// The files tell nothing about a node: everybody may get them. What they show comes from /v1, which wants a session (see node/api.Gate);
// the page begins one with the code behind the # of a login link.
//
// It imports nothing of this module.
package web

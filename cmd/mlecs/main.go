// Command mlecs is a gossip learning node and the tools to run, test and inspect a federation of them.
//
// It has one file a command and no logic of its own: what a command does is in the packages that it calls.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

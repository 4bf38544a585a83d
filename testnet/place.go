package testnet

import "os"

// Place is where a node's process runs, if not simply on this machine: a network of its own, say. The zero value is this machine.
type Place struct {
	Listen   []string // multiaddrs; empty: any ports of loopback
	Announce []string // multiaddrs told to others in their place

	// Env gives KEY=VALUE beside this process's own environment, each time that a process is started. Nil: none.
	Env func() []string

	// Run calls start, which starts a process, so that it begins there. Nil: start is just called.
	Run func(start func() error) error
}

func (p Place) run(start func() error) error {
	if p.Run == nil {
		return start()
	}
	return p.Run(start)
}

func (p Place) env() []string {
	env := os.Environ()
	if p.Env != nil {
		env = append(env, p.Env()...)
	}
	return env
}

// Package top is the full-screen view of running nodes: what each is at, how fast it goes, its rounds, learning curves, peers and events.
//
// follow.go asks every node in a goroutine of its own and sends what it hears to the model (model.go), which only changes by messages;
// view.go draws it as lines that fit the terminal, from 40x10 on, and chart.go draws curves with Braille characters. The model knows no
// clock and no terminal, so that tests drive it by messages.
//
// It knows nodes through package api alone.
package top

// Package privacy bounds what a vector that leaves a node can tell of the data that it was made from, by the Gaussian mechanism: the
// vector is clipped to a norm, and normal noise is added to every value. The accountant says what many such releases tell together.
//
// The mechanism holds for real numbers. In float32 the last bits of the noise could be read by somebody who looks for them (Mironov, CCS
// 2012); nothing is done against that.
//
// The package knows vectors alone, and imports nothing of this repository.
package privacy

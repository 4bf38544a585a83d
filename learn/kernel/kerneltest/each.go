// Package kerneltest runs tests with every implementation of the arithmetic. Only tests import it.
package kerneltest

import (
	"testing"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Each runs a test with every kernel that this machine can run, as subtests of their names, and goes back to the one in use.
func Each(t *testing.T, test func(t *testing.T)) {
	used := kernel.Active()
	defer func() {
		if err := kernel.Use(used); err != nil {
			t.Fatal(err)
		}
	}()
	for _, name := range kernel.Kernels() {
		t.Run(name, func(t *testing.T) {
			if err := kernel.Use(name); err != nil {
				t.Fatal(err)
			}
			test(t)
		})
	}
}

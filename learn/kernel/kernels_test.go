package kernel_test

import (
	"testing"

	"github.com/mlecs/mlecs/learn/kernel"
)

// eachKernel runs a test with every implementation that this machine can run.
func eachKernel(t *testing.T, f func(t *testing.T)) {
	for _, name := range kernel.Kernels() {
		t.Run(name, func(t *testing.T) {
			defer kernel.UseKernel(name)()
			f(t)
		})
	}
}

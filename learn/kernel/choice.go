package kernel

import "fmt"

// Kernels names the implementations that this machine can run, best first. The first one is in use.
func Kernels() []string {
	var names []string
	for _, t := range available() {
		names = append(names, t.name)
	}
	return names
}

// Active names the implementation in use.
func Active() string { return active.name }

// Use switches the process to the implementation of that name, for measurements and tests. Nothing may be computed meanwhile, and
// what Pack has prepared stays with the implementation that it was prepared for.
func Use(name string) error {
	for _, t := range available() {
		if t.name == name {
			active = &t
			return nil
		}
	}
	return fmt.Errorf("kernel %q does not run on this machine; there are %q", name, Kernels())
}

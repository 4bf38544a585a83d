package kernel

// Kernels are the names of the implementations that run on this machine.
func Kernels() []string {
	var names []string
	for _, t := range available() {
		names = append(names, t.name)
	}
	return names
}

// UseKernel switches to the implementation of that name and returns a function that switches back.
func UseKernel(name string) (restore func()) {
	old := active
	for _, t := range available() {
		if t.name == name {
			active = &t
			return func() { active = old }
		}
	}
	panic("no kernel " + name)
}

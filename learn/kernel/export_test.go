package kernel

// UseKernel switches to the implementation of that name and returns a function that switches back.
func UseKernel(name string) (restore func()) {
	old := active
	if err := Use(name); err != nil {
		panic(err)
	}
	return func() { active = old }
}

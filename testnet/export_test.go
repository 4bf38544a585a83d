package testnet

// InProcessNode starts a member of a stopped testnet again, inside the test.
func InProcessNode(m Member) Node { return &inProcess{name: m.Name, role: m.Role, home: m.Home} }

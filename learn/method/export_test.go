package method

import "github.com/mlecs/mlecs/learn/adapter"

// Components are a learner's components, for tests that look into it between rounds.
func (l *learner) Components() map[string]adapter.Component {
	all := map[string]adapter.Component{}
	for _, c := range l.model.Components() {
		all[c.Name] = c
	}
	return all
}

// Proxy are the components of the cloud's small model.
func (c *Cloud) Proxy() map[string]adapter.Component { return c.proxy.Components() }

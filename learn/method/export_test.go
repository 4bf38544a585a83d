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

// Proxy are the components of the cloud's small model of the first family.
func (c *Cloud) Proxy() map[string]adapter.Component { return c.ProxyOf(0) }

// ProxyOf is Proxy of any family.
func (c *Cloud) ProxyOf(family int) map[string]adapter.Component {
	return c.proxies[family].Components()
}

// ComponentsOf are those of the model that e scores.
func ComponentsOf(e Evaluator) map[string]adapter.Component {
	if c, ok := e.(*Cloud); ok {
		return c.large.Components()
	}
	return e.(interface {
		Components() map[string]adapter.Component
	}).Components()
}

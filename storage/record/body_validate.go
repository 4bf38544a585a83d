package record

import "github.com/ipfs/go-cid"

// What each body type may say, beyond what its Go type says. Numbers that only mislead their reader are left to that reader.

func (f *Federation) validate(c *checker) {
	c.required("federation name", f.Name, MaxName)
	c.member("founder", f.Founder)
	f.Data.validate(c)
	c.count("base models of edges", len(f.Bases.Edge), MaxBases)
	for _, base := range append([]Base{f.Bases.Super}, f.Bases.Edge...) {
		c.name("base model name", base.Name, MaxName)
		c.within("base model parameters", base.Params, 0, MaxBlobBytes)
		c.optionalBlob("base model", base.Blob)
	}
	c.name("method name", f.Method.Name, MaxName)
	f.Policy.validate(c)
	c.count("shared component kinds", len(f.Share), MaxComponents)
	for _, kind := range f.Share {
		c.required("shared component kind", kind, MaxName)
	}
	distinct(c, "shared component kind", f.Share)
}

func (p RoundPolicy) validate(c *checker) {
	c.round(p.Rounds)
	c.number("quorum", p.Quorum, 0, 1)
	if p.Min > MaxInputs {
		c.failf("least number of deltas is %d, more than %d", p.Min, MaxInputs)
	}
	c.within("deadline", p.Deadline, 0, MaxDeadline)
}

func (p *Policy) validate(c *checker) {
	p.Round.validate(c)
	if p.Round.Deadline == 0 {
		c.failf("the deadline is 0, and a round needs one")
	}
	c.steps("steps on public rows", p.Steps.CCL, 0)
	c.steps("steps on private rows", p.Steps.AMT, 0)
	c.steps("steps of an edge", p.Steps.CCL+p.Steps.AMT, 1)
	c.steps("steps of a super-peer", p.Steps.Cloud, 1)
	c.round(p.KeepRounds)
	c.name("reason", p.Reason, MaxLongName)
}

func (d *DataSet) validate(c *checker) {
	c.name("data set name", d.Name, MaxName)
	c.optionalBlob("data set index", d.Index)
	c.optionalBlob("data set targets", d.Targets)
	names := make([]string, len(d.Modalities))
	for i := range d.Modalities {
		names[i] = d.Modalities[i].Name
		d.Modalities[i].validate(c)
	}
	c.modalities(names)
}

func (m *Modality) validate(c *checker) {
	const (
		maxAxes     = 4
		maxAxis     = 1 << 20
		maxChannels = 256
		maxRate     = 1e6
		maxSeconds  = 3600
	)
	switch m.Kind {
	case "image", "audio", "series", "text":
	default:
		c.failf("modality %q has kind %.40q, not image, audio, series or text", m.Name, m.Kind)
	}
	c.count("axes of modality "+m.Name, len(m.Shape), maxAxes)
	elements := int64(1)
	for _, n := range m.Shape {
		c.within("axis of modality "+m.Name, int64(n), 1, maxAxis)
		if c.err != nil {
			return // elements could overflow
		}
		elements = min(elements, MaxBlobBytes) * int64(n)
	}
	c.within("elements of modality "+m.Name, elements, 1, 1<<28)
	c.count("channels of modality "+m.Name, max(len(m.Channels), len(m.Mean), len(m.Std)), maxChannels)
	for _, name := range m.Channels {
		c.required("channel name", name, MaxName)
	}
	c.number("rate of modality "+m.Name, m.Rate, 0, maxRate)
	c.number("seconds of modality "+m.Name, m.Seconds, 0, maxSeconds)
	c.optionalBlob("archive of modality "+m.Name, m.Archive)
}

func (b *Certificate) validate(c *checker) {
	c.member("subject", b.Subject)
	c.name("node name", b.Name, MaxName)
	c.role(b.Role)
	if b.Delegate && b.Role != RoleSuper {
		c.failf("a delegate with role %q", b.Role)
	}
	if n := len(b.Heir); n != 0 && n != 64 {
		c.failf("an heir's signature of %d bytes", n)
	}
	if b.Invite && len(b.Heir) > 0 {
		c.failf("an invite as heir")
	}
	c.within("expiry", b.Expires, 1, 1<<40)
}

func (b *Revocation) validate(c *checker) {
	c.record("certificate", b.Certificate)
	c.name("reason", b.Reason, MaxLongName)
}

func (d *Delta) validate(c *checker) {
	c.round(d.Round)
	c.link("base", d.Base, 0)
	c.modalities(d.Modalities)
	c.count("components", len(d.Components), MaxComponents)
	names := make([]string, len(d.Components))
	for i, part := range d.Components {
		names[i] = part.Name
		part.validate(c)
	}
	distinct(c, "component", names)
	c.metrics(d.Metrics)
}

func (p *Component) validate(c *checker) {
	c.required("component name", p.Name, MaxLongName)
	c.required("component signature", p.Signature, MaxLongName)
	c.required("component codec", p.Codec, MaxName)
	c.within("component parameters", p.Params, 0, MaxBlobBytes)
	c.blob("component", p.Blob)
}

func (a *Aggregate) validate(c *checker) {
	c.round(a.Round)
	c.count("inputs", len(a.Inputs), MaxInputs)
	deltas := make([]cid.Cid, len(a.Inputs))
	for i, in := range a.Inputs {
		deltas[i] = in.Delta
		c.record("input delta", in.Delta)
		if in.Round > a.Round {
			c.failf("input delta of round %d in round %d", in.Round, a.Round)
		}
		c.member("input author", in.Author)
		c.modalities(in.Modalities)
		c.number("input weight", in.Weight, 0, 1+1e-9) // a sum of rounded shares may exceed 1 by a little
	}
	distinct(c, "input delta", deltas)
	c.count("components", len(a.Components), MaxComponents)
	type key struct{ name, signature string }
	keys := make([]key, len(a.Components))
	for i := range a.Components {
		part := &a.Components[i]
		keys[i] = key{part.Name, part.Signature}
		part.validate(c)
	}
	distinct(c, "component", keys)
	c.optionalBlob("supervision", a.Supervision)
	c.optionalBlob("checkpoint", a.Checkpoint)
	c.metrics(a.Metrics)
}

func (p *AggregatedComponent) validate(c *checker) {
	p.Component.validate(c)
	c.required("aggregation rule", p.Rule, MaxName)
	c.count("inputs of a component", len(p.Inputs), MaxInputs)
	for _, in := range p.Inputs {
		if in.Delta.Defined() {
			c.record("input of a component", in.Delta)
		}
		c.number("weight of a component's input", in.Weight, 0, 1e12)
	}
}

func (b *Contribution) validate(c *checker) {
	c.round(b.Round)
	c.count("components", len(b.Components), MaxComponents)
	for i := range b.Components {
		b.Components[i].validate(c)
	}
}

func (d *Dispute) validate(c *checker) {
	c.record("disputed aggregate", d.Aggregate)
	c.name("component name", d.Component, MaxLongName)
	c.name("component signature", d.Signature, MaxLongName)
	if d.Claimed.Defined() || d.Found.Defined() {
		c.link("claimed blob", d.Claimed, cid.Raw)
		c.link("found blob", d.Found, cid.Raw)
	}
	c.required("reason", d.Reason, MaxLongName)
}

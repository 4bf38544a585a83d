package experiment

import "github.com/mlecs/mlecs/learn/data"

// publicFraction of the training rows is public where the setting does not say how many are.
const publicFraction = 0.5

// Partition are the options by which the data set is dealt out. To validate, validation rows stand in for the test rows, which nobody sees.
// The set must be one of which Target is the target; see data.Set.WithTarget.
func (s Setting) Partition(seed uint64, validate bool) data.PartitionOptions {
	return data.PartitionOptions{
		Edges: s.Nodes, RowsPerEdge: s.RowsPerNode, RowsSpread: s.RowsSpread, PublicRows: s.PublicRows, PublicFraction: publicFraction,
		ModalityRate: s.ModalityRate, GroupBy: s.GroupBy, Seed: seed, Validate: validate,
	}
}

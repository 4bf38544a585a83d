// Package method holds the learning methods as transport-free state machines: an edge step takes the newest aggregate and yields a
// delta, a cloud step takes deltas and yields an aggregate. The daemon drives it by gossip, an experiment by a loop (Start, Federation).
// Nothing here opens a file, a socket or a clock.
//
// ML-ECS (arXiv 2602.14107) in the setting S3: super-peers hold public rows of all modalities with their targets; an edge holds the same
// rows restricted to its own modalities and without targets, and private rows with targets.
//
//	config.go      hyper-parameters and the share policy
//	families.go    the structures of several families in one federation
//	bases.go       the base models of a federation
//	exchange.go    Delta and Aggregate, what the two tiers exchange
//	edge.go        Edge: CCL on public rows, then AMT on private rows; yields a Delta, absorbs an Aggregate
//	cloud.go       Cloud: MMA over the deltas, then SE-CCL between the aggregated small models (the proxies, one a family) and the large one
//	mma.go         which components are averaged, and by which weights; late deltas weigh less; votes.go: the rules without weights
//	supervision.go what the cloud teaches about the public rows (fused representations, soft targets); supervision_blob.go has its blob
//	gossip.go      merging deltas without a super-peer
//	blob.go        components as they travel; outbox.go what an edge sends, and what coarse codecs leave for later;
//	               private.go what bounds what that tells of private rows
//	answerer.go    Answerer: a learner's model alone, to question it beside the learner
//	standalone.go  Standalone: the same model, seeds and number of steps without exchange
//	learner.go     what they share: one model, its rows, and one stage of training
//	lessons.go     supervision as a learner uses it
//	rows.go        rows ready for the model, and the batches of a stage
//	state.go       what a restart needs, as a tar of safetensors files
//	meaning.go     what the metrics of deltas and aggregates say, with their units
//	scores.go      answers, Rouge-LSum, exact match, and the best constant answer
//	federation.go  World and Federation: every method of the comparison by its name (Methods, Start)
//	together.go    ML-ECS as a Federation; variants.go: the paper's literal form, and ours without one part each
//	worker.go      what the other methods are made of
//	alone.go       no exchange; ceiling.go: all rows in one place
//	averaging.go   FedIT and zero-filled FedAvg, and with fedprox.go, ranks.go (HetLoRA, FediLoRA) and flora.go all that average
//	speaking.go    methods that exchange what nodes say of public rows: creamfl.go, fedmd.go
//	traffic.go     bytes that edges send and receive
//
// Everything random derives from the federation's seed and from names (stream, stage, round, step), never from what ran before: a node
// that restarts continues with the same bits, methods that are compared see the same batches, and components that are averaged start
// equal on every node. Learners are not safe for concurrent use.
//
// The package must not import p2p, storage or node.
package method

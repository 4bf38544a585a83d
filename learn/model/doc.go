// Package model is the multimodal model of one node: an encoder per modality, a connector that fuses what the encoders see
// and turns it into soft prompts, and a frozen GPT-2 backbone (Base) with LoRA. It runs on Gorgonia with the fused ops of
// learn/op.
//
// Structure: encoder of modality m -> vector -> Linear to Spec.Projection; the projections, in name order, side by side ->
// layer norm -> Linear to Spec.Fused (the fused representation) -> GELU, dropout -> Linear -> Spec.Prompt soft-prompt
// tokens, which precede the text prompt and the target in the backbone.
//
// Step trains; its graphs are built once per shape and kept, and all of them share the memory of the parameters. Fuse,
// Generate and Answer run the same ops without gradients, and decode with a key-value cache. Components and SetComponent
// hand out and take in the trainable parts by name; WriteState and ReadState keep everything that a restart needs.
// Pretrain makes a Base from texts; Base.Write and ReadBase move it as one blob.
//
// The package imports learn/adapter, learn/kernel and learn/op, and must never import learn/method, p2p or storage.
package model

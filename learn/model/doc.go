// Package model is the multimodal model of one node: an encoder per modality, a connector that fuses what the encoders see
// and turns it into soft prompts, and a frozen backbone (Base), GPT-2 or Llama, with LoRA. It runs on Gorgonia with the fused ops of
// learn/op.
//
// Structure: of each modality, encoder -> vector -> Linear to Spec.Projection -> layer norm -> Linear to Spec.Fused; the sum
// over the modalities that a row has is the fused representation -> GELU, dropout -> Linear -> Spec.Prompt soft-prompt
// tokens, which precede the text prompt and the target in the backbone.
//
// Step trains; its graphs are built once per shape and kept, and all of them share the memory of the parameters. Fuse,
// Generate and Answer run the same ops without gradients, and decode with a key-value cache. Components and SetComponent
// hand out and take in the trainable parts by name; WriteState and ReadState keep everything that a restart needs.
// Pretrain makes a Base from texts; Base.Write and ReadBase move it as one blob.
//
// What the families of backbones have of their own is behind the interface architecture (gpt2.go, llama.go): the names and shapes
// of tensors, config.json, and the op of a block; all the rest is written once over it. ReadFolder reads what HuggingFace
// publishes, with the tokenizer, byte-level or of SentencePiece's kind; Base.Merged puts a LoRA into the weights.
//
// The package imports learn/adapter, learn/kernel and learn/op, and must never import learn/method, p2p or storage.
package model

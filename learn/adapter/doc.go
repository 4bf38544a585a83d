// Package adapter holds what nodes share: named components of float32 tensors, their file forms, how they are aggregated, and how they
// are made small for the wire.
//
//   - component.go: Tensor and Component, the Signature that says which components may be averaged, and a component's file.
//   - safetensors_write.go, safetensors_read.go: the HuggingFace safetensors format, canonical when written, limited when read.
//   - half.go: the 16-bit float types of foreign files and of codecs.
//   - mean.go, running.go: the weighted mean, with the same bits on every CPU, of all at once or of a stream of blobs.
//   - rule.go: Rule, what all aggregation rules keep. pair.go finds LoRA's A and B by their PEFT names, and truncates ranks. The rules:
//     padded.go (zero-padded and dimension-wise means of different ranks), hetlora.go, product.go (product mean and FLoRA's stacking),
//     robust.go (median, trimmed mean), krum.go and clip.go (centered clipping).
//   - peft.go, peft_read.go, peft_fit.go, merge.go: LoRA as HuggingFace PEFT saves it, and base weights with it merged in.
//   - codec.go: Codec, which makes blobs of components with fewer bits, and Decode; codec_blob.go specifies the blob, blob_reader.go takes
//     it apart, decoder.go decodes many into the same memory, and codec_values.go has what each codec makes of the values;
//     codec_lowrank.go has the codec of directions, range_coder.go its bits. feedback.go keeps what they lose for the next round.
//
// The pinned library github.com/nlpodyssey/safetensors is not used for reading and writing, only to check this package in its
// tests: it takes the last of two tensors of one name, wants the whole file and a second copy of every tensor as bytes, and allows
// headers of 100 MB. Here files come from other peers and are named by the hash of their bytes, so that a reader has to refuse what
// is ambiguous before it allocates, and equal tensors must give equal bytes.
//
// The package knows nothing of models, methods, peers or disks. It must not import p2p, storage, or any package of learn but kernel.
package adapter

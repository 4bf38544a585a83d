// Package data reads data set folders, turns their media into tensors, divides them between nodes, and generates the
// built-in data set.
//
// A data set is a folder with metadata.jsonl, one JSON object a row (the layout of Hugging Face's image and audio
// folders, for several modalities at once):
//
//	{"id": "a1", "image_file_name": "image/a1.png", "sensor_file_name": "sensor/a1.csv", "target": "walking upright quiet",
//	 "domain": "home-1", "split": "train", "sequence": "home-1-s01"}
//
// A key NAME_file_name gives the modality NAME and its file: PNG or JPEG image, WAV audio, CSV series. "text" is the text
// modality, "target" the text to generate, "domain" the place, person or device that rows come from, "split" one of
// train, validation and test; rows with one "sequence" belong together. All of them may be absent, other keys are kept.
// An optional dataset.json describes the set: {"name": ..., "generated": true, ...}.
//
// The parts:
//
//   - set.go, metadata.go, problems.go: opening a folder, with errors that name file, line and field;
//   - modality.go with image.go, wav.go, mel.go, series.go and text.go: Fit and Tensor, a row's files as standardised
//     numbers of a fixed shape;
//   - write.go, archive.go: folders and archives made from rows;
//   - split.go with grouping.go, holdout.go, public.go and subsets.go: who gets which rows and modalities in a testnet or an
//     experiment;
//   - target.go, anonymous.go, example.go: rows as a federation sees them, and decoded for a model;
//   - inspect.go: what `mlecs data inspect` tells;
//   - generate.go and what it names: a simulation of people who move and fall in homes.
//
// Files may come from strangers: everything has a limit, paths never leave the folder (os.Root), and bad input is an
// error, never a panic. All results depend on the input and the seed only.
//
// The package must not import p2p, storage, or any other package of learn.
package data

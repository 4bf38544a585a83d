package model

// RandomBase is a backbone with initial weights and no tokenizer.
func RandomBase(cfg Config, seed uint64) *Base {
	cfg = cfg.WithDefaults()
	return &Base{Config: cfg, Tensors: tensorsOf(initialBase(cfg, seed))}
}

"""Very many inputs for decoders: what compiled walkers read against the reference, and decoders without a second opinion against what always holds."""

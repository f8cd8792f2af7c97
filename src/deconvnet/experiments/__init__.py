"""The paper's experiments: each brings a network, photos and an engine together and writes a run."""

"""What a module does, found out without changing it: modes, outputs, receptive fields, spellings of ReLUs."""

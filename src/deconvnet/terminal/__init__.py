"""What the commands share: options, progress, places of files, tables."""

"""What can be measured on filters and maps: spectra, sizes, duplicates, noise, activity, aliasing."""

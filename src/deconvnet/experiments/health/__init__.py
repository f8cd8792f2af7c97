"""What can be measured on filters and maps: spectra, sizes, duplicates, noise, activity, aliasing, shifts.

Shared by the diagnosis and the comparison of networks; ``spectra`` and ``statistics`` are plain arithmetic on arrays.
"""

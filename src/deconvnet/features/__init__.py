"""What chosen layers answer to photos."""

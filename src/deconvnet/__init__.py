"""What has this CNN learned? The experiments of Zeiler & Fergus (2013) for any PyTorch network."""

"""Datasets and formats, one file each; batching and augmentation."""

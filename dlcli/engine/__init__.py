"""The engine: tensors, the eager tape, the executor and the flat parameter buffers."""

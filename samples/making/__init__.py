"""The parts of samples/generate.py. Nothing here is imported by the lakehouse itself."""

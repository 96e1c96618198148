"""The ``lakehouse`` command: one module per group of commands. The only part of this package that
imports the packages built on it."""

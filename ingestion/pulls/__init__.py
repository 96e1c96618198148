"""Pulls: sources that are asked for what is new. Each pull becomes a registered drop of its own."""

"""Frames: encode, decode, validate. Pure functions over text and bytes, without I/O, clock or log."""

"""The servers we are measured beside; each speaks the few frames of `frames.py`."""

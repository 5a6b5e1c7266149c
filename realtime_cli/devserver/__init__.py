"""Realtime Toolkit command line."""

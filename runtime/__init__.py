"""Realtime Toolkit: what apps import."""

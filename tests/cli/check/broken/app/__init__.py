"""The app."""

from app.store import database

__all__ = ["database"]

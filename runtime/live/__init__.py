"""The live API: decorators that declare, and what they run."""

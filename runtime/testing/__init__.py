"""What app authors test with."""

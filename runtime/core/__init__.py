"""Connections, topics, publishing and the platform: everything between the wire and the live API, without I/O."""

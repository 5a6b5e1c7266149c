"""The ASGI app: WebSocket endpoint, HTTP side, hooks and settings."""

"""Our own WebSocket connection on a transport that uvicorn hands over: bytes in, shared bytes out, nothing between."""

"""The one package that knows uvicorn's WebSocket side from within: what ASGI cannot say is said here.

```
contract    which uvicorn is known, and the protocol class that serves under it
doorway     a plain upgrade request: runs the app, gives an accepted peer straight to the fast path
linked      everything else: uvicorn's own protocol, with a bound on closing
```
"""

from __future__ import annotations

from runtime.server.uvicornlink.contract import WritePath, contract_problem, websocket_protocol
from runtime.server.uvicornlink.doorway import Doorway
from runtime.server.uvicornlink.linked import CLOSE_TIMEOUT, LinkedProtocol, abort_all, closing_peers

__all__ = [
    "CLOSE_TIMEOUT",
    "Doorway",
    "LinkedProtocol",
    "WritePath",
    "abort_all",
    "closing_peers",
    "contract_problem",
    "websocket_protocol",
]

"""The asynchronous Python client: calls, streams and topics over one WebSocket that comes back by itself.

```python
async with connect("ws://localhost:3000/ws") as rt:
    await rt.call("todos/add", "milk")
    async for todos in rt.stream("todos/list"):
        ...
```
"""

from __future__ import annotations

from runtime.client.client import Realtime, connect
from runtime.client.errors import RpcError, StreamLagged
from runtime.client.options import ClientOptions, Offline, OfflineCall, UploadPacing
from runtime.client.pending import PendingResult
from runtime.client.plugins import Group
from runtime.client.replays import ReplayTopic
from runtime.client.stores import Store
from runtime.client.streams import Stream
from runtime.client.streamstate import StreamEvent
from runtime.client.topics import TopicEvent
from runtime.client.topicstores import TopicStore
from runtime.client.upload import Upload, UploadProgress
from runtime.core.capacity import MAX_OPTIMISTIC_QUEUE_DEPTH

__all__ = [
    "MAX_OPTIMISTIC_QUEUE_DEPTH",
    "ClientOptions",
    "Group",
    "Offline",
    "OfflineCall",
    "PendingResult",
    "Realtime",
    "ReplayTopic",
    "RpcError",
    "Store",
    "Stream",
    "StreamEvent",
    "StreamLagged",
    "TopicEvent",
    "TopicStore",
    "Upload",
    "UploadPacing",
    "UploadProgress",
    "connect",
]

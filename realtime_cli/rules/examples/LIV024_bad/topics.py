from __future__ import annotations

from runtime import define_topics

TOPICS = define_topics(todos="todos")

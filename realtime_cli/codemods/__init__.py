"""The codemods of `realtime upgrade`: from the 0.4 to the 0.5 layout.

A codemod (``upgNNN_*.py``, ``upjNN_*.py``) says what to replace where; `engine` puts it into bytes, proves that nothing
else changed and keeps the order; `files` writes all of it or nothing. Spec: upgrade 3, 4.
"""

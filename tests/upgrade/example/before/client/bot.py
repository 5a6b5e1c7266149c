from runtime.client import connect


async def main():
    conn = await connect("ws://localhost:3000/ws")
    conn.configure(upload={"chunk_size": 64 * 1024})
    if conn.status.value == "closed":
        return
    async for value in conn.stream("board/notes", 1):
        if isinstance(value, dict) and value.get("error"):
            break

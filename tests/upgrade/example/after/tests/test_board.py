async def test_two_subscribes(realtime):
    frames = await realtime.frames_of("a", "b")
    assert [f["type"] for f in frames] == ["subscribe", "subscribe"]

"""One user, and two topics that nobody may have."""


def upgrade():
    return {"id": "u1"}


def subscribe(ws, topic):
    if topic == "forbidden":
        return False
    if topic == "custom":
        return "QUOTA"
    return None

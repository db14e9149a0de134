def connect() -> None:
    raise ConnectionError("no database at\nlocalhost")


connect()

"""uvicorn with httptools and uvloop, a bare ASGI callable, no access log. Argument: PORT."""

import sys

import uvicorn
from asgi_app import app

uvicorn.run(
    app,
    host="127.0.0.1",
    port=int(sys.argv[1]),
    loop="uvloop",
    http="httptools",
    ws="none",
    lifespan="off",
    access_log=False,
    log_level="error",
)

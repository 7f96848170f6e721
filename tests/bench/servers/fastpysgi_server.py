"""fastpysgi, one process. Arguments: PORT wsgi|asgi."""

import importlib
import sys

import fastpysgi

interface = sys.argv[2]
if interface == "asgi":
    # It runs the coroutines on a loop it is lent; uvloop's is cheaper than its default, asyncio's.
    import uvloop

    fastpysgi.server.loop = uvloop.new_event_loop()

app = importlib.import_module(f"{interface}_app").app
fastpysgi.run(app, host="127.0.0.1", port=int(sys.argv[1]))

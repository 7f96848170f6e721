"""fastpysgi, one process. Arguments: PORT wsgi|asgi."""

import importlib
import sys

import fastpysgi

app = importlib.import_module(f"{sys.argv[2]}_app").app

# The default, Nagle's algorithm, delays the second segment of a 10 kB answer.
fastpysgi.server.tcp_nodelay = 1
fastpysgi.run(app, host="127.0.0.1", port=int(sys.argv[1]))

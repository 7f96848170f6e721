"""Several interpreters in one process, each of which serves the app with one loop.

`pool` is the half in the interpreter that the server was made in; `inside` runs in the others.
"""

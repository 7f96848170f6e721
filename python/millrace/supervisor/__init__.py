"""Many processes: a supervisor that keeps the sockets, and workers that serve with them.

`fleet` decides, without processes or a clock; `supervisor` does what it says; `worker` is the
program that each worker runs.
"""

"""The benchmark suite: CPU time per request of this server and its peers, on one core each."""

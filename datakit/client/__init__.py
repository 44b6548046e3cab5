"""HTTP to model servers. Sampling and served reward models stand on it.

    calls      Client: requests to one model over its replicas, retried, stopped where the source cannot be used
    replica    one URL: connections, health
    window     how many requests it may have in flight
    faults     what can go wrong, and what it means
    probing    `datakit check`: does a URL answer, and does it serve the model?

It speaks HTTP itself, through aiohttp, for the SDK's cost of a request is building and checking models of it (benchmarks/).
"""

from datakit.client.calls import Answer, Client
from datakit.client.faults import Drained, RequestFailed
from datakit.client.probing import probe_endpoint, read_key
from datakit.client.replica import Replica

__all__ = ["Answer", "Client", "Drained", "Replica", "RequestFailed", "probe_endpoint", "read_key"]

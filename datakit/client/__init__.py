"""HTTP to model servers. Sampling and served reward models stand on it.

    calls      Client: requests to one model over its replicas, retried, stopped where the source cannot be used
    sections   a Client with the limits of a recipe's section
    turns      whose request goes out next, and at which replica
    content    what the message of a choice says: text and thought
    replica    one URL: connections, health
    draining   the end of work before all is answered
    window     how many requests it may have in flight
    faults     what can go wrong, and what it means
    said       what a server says of an error, in whose words ever
    access     the key and headers of requests, and what is never shown; a path below a base URL
    content    what the message of a choice says: text and thought
    models     the models that a server lists
    batch      a vendor's files and batches, through the openai package
    probing    `datakit check`: does a URL answer, does it serve the model, and which one would?

It speaks HTTP itself, through aiohttp, for the SDK's cost of a request is building and checking models of it (benchmarks/);
batches are few.
"""

from datakit.client.access import OPEN, Access, at, read_access, server_url
from datakit.client.batch import BatchClient, BatchState, check_package, has_no_list
from datakit.client.calls import Answer, Client, count_of
from datakit.client.content import Content, is_unfinished, is_withheld, read_content
from datakit.client.draining import Drain
from datakit.client.faults import Drained, Fault, RequestFailed, of_answer, of_status
from datakit.client.probing import Probed, list_models, probe_endpoint
from datakit.client.replica import Replica
from datakit.client.sections import client_for

__all__ = [
    "OPEN",
    "Access",
    "Answer",
    "BatchClient",
    "BatchState",
    "Client",
    "Content",
    "Drain",
    "Drained",
    "Fault",
    "Probed",
    "Replica",
    "RequestFailed",
    "at",
    "check_package",
    "client_for",
    "count_of",
    "has_no_list",
    "is_unfinished",
    "is_withheld",
    "list_models",
    "of_answer",
    "of_status",
    "probe_endpoint",
    "read_access",
    "read_content",
    "server_url",
]

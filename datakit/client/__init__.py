"""HTTP clients of model servers, for sampling and for served reward models.

    calls      Client: requests to one model over its replicas, retried; stops a source that cannot be used
    sections   a Client with the limits of a recipe's section
    turns      which request goes out next, and to which replica
    content    the message of a choice: text and thought
    replica    one URL: connections, health
    draining   ending work before everything is answered
    window     how many requests a URL may have in flight
    faults     what can go wrong, and what it means
    said       what a server says about an error, in any vendor's format
    access     the key and headers of requests, and secrets that are never shown; a path below a base URL
    models     the models that a server lists
    batch      a vendor's files and batches, through the openai package
    probing    `datakit check`: whether a URL answers and serves the model, and which URL would

Requests are sent with aiohttp: the cost of a request with the SDK is building and checking its models (benchmarks/). Batches
are few and use the SDK.
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

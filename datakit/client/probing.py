"""Whether an endpoint answers before anything is asked of it."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from urllib.parse import urlsplit

from datakit.client.access import Access, at
from datakit.client.faults import of_status
from datakit.client.models import models_of, what_is_served
from datakit.client.replica import CONNECT_S, LOCAL


def probe_endpoint(base_urls: Sequence[str], access: Access, model: str) -> dict[str, str]:
    """What is wrong with each URL, by asking it for its models; empty where all is well. Ten seconds a URL at most."""
    troubles = ((url, _trouble(at(url, "/models"), access, model)) for url in base_urls)
    return {url: access.hide_text(trouble) for url, trouble in troubles if trouble is not None}


def list_models(base_url: str, access: Access) -> list[str]:
    """The models that a URL lists; none where it does not answer so: who then asks it for an answer hears why."""
    try:
        return _list(at(base_url, "/models"), access)
    except (OSError, ValueError, LookupError, TypeError):  # URLError and HTTPError are OSErrors
        return []


def _list(url: str, access: Access) -> list[str]:
    request = urllib.request.Request(url, headers=dict(access.headers))
    proxies = urllib.request.ProxyHandler({} if urlsplit(url).hostname in LOCAL else None)
    with urllib.request.build_opener(proxies).open(request, timeout=CONNECT_S) as response:
        return models_of(response.read())


def _trouble(url: str, access: Access, model: str) -> str | None:
    try:
        known = _list(url, access)
    except urllib.error.HTTPError as error:
        if error.code == 404:  # a proxy may not list its models
            return None
        return of_status(error.code, access.hide(error.read()), dict(error.headers.items())).message
    except (OSError, urllib.error.URLError) as error:
        return f"does not answer ({getattr(error, 'reason', error)})"
    except (ValueError, LookupError, TypeError):  # a page of HTML
        return "answers, but not as OpenAI's API does; does the URL end in /v1?"
    if known and model not in known:
        return f"does not serve '{model}'; {what_is_served(model, known)}"
    return None

"""Is the lake's object store safe for several writers?

In: the lake's URL and its storage options. Out: nothing, or one line that refuses it. Never: a look at any row.

A log entry is published by a put that fails where the entry exists (`If-None-Match: *`). A store that ignores the condition lets two
writers take one version: rows of the first vanish, and its ledger with them. deltalake's Python API has no such put of its own, so the
question is asked through obstore, which has the same client underneath and takes the same options and variables.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.store.errors import explain

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Store

# One key for ever: nothing is left to clean up, no right to delete is needed, and of later openings the first put already gives the answer.
PROBE = "_conditional_put"
SCHEMES = ("s3", "s3a")  # Google's and Azure's own interfaces have the condition; S3's are many people's work
# The options that say where the store is and who asks. The rest is of delta-rs alone, or of a put's body.
_WHO_AND_WHERE = frozenset(
    {
        *("access_key_id", "secret_access_key", "session_token", "token", "region", "default_region", "endpoint", "endpoint_url"),
        *("virtual_hosted_style_request", "unsigned_payload", "skip_signature", "imdsv1_fallback", "metadata_endpoint", "conditional_put"),
        *("container_credentials_relative_uri", "container_credentials_full_uri", "container_authorization_token_file"),
        *("web_identity_token_file", "role_arn", "role_session_name", "server_side_encryption", "sse_kms_key_id"),
    }
)
_HOW = frozenset({"allow_invalid_certificates", "connect_timeout", "timeout", "proxy_url", "proxy_ca_certificate"})
_TRIES = 2
_WAIT = timedelta(seconds=10)


def check_conditional_put(url: str, options: Mapping[str, str]) -> None:
    """Put one key twice, each on condition that it is not there. Raises TracebraidError where both succeed, or where it cannot be tried.

    Of a store that cannot be asked this way, `aws_conditional_put = etag` among the options is the user's word that it has it.
    """
    if urlsplit(url).scheme not in SCHEMES:
        return
    from obstore import put  # imported only here: a lake in a directory costs none of it
    from obstore.exceptions import AlreadyExistsError, BaseError

    try:
        store = s3_store(url, options)
        for _ in range(2):
            put(store, PROBE, b"Two puts of this key, each if it is not there: tracebraid asks whether the second fails.\n", mode="create")
    except AlreadyExistsError:
        return
    except (BaseError, OSError, ValueError) as error:
        said, _, _ = str(error).partition("\n\nDebug source")
        why = explain(OSError(said), f"find out whether the store of {url} has conditional put")
        if not why.transient:
            raise why from error
        if _split(options)[0].get("aws_conditional_put") == "etag":
            return
        hint = "Check the store and its credentials; where you know that it has it, set storage_options.aws_conditional_put to etag"
        raise TracebraidError(why.what, hint, transient=True) from error
    raise TracebraidError(
        f"the store of {url} has no conditional put: it took a second put of {PROBE} on condition that there is none",
        "Two writers would overwrite each other's commits there: keep the lake in a store that heeds If-None-Match",
    )


def s3_store(url: str, options: Mapping[str, str]) -> "S3Store":
    """The store at `url` through obstore, with what delta-rs's options say. Raises obstore's BaseError, ValueError."""
    from obstore.store import S3Store

    config, client = _split(options)
    return S3Store.from_url(url, config=config, client_options=client, retry_config={"max_retries": _TRIES, "retry_timeout": _WAIT})


def _split(options: Mapping[str, str]) -> "tuple[S3Config, ClientConfig]":
    """The store's options, and its client's, out of delta-rs's, which are one mapping. What is no option of the probe is left out."""
    config: dict[str, str] = {}
    client = {"allow_http": "true"}  # whether it is allowed says delta-rs, which goes there next
    for name, value in options.items():
        key = name.lower().removeprefix("aws_")
        if key in _WHO_AND_WHERE:
            config[f"aws_{key}"] = value
        elif key in _HOW:
            client[key] = value
    return cast("S3Config", config), cast("ClientConfig", client)

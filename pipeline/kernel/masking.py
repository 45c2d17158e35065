"""Which settings are secrets, and how a text is shown without the secrets in it.

In: names and values of settings. Out: what may be printed. Never: a value whose name is not known to be harmless in an object store's options.
"""

import re

MASK = "***"
_SECRET = re.compile(r"pass|secret|token|key|\.pem|jaas|credential|authorization|oauthbearer\.config|kinit|sas(_|$)|signature", re.I)
_HARMLESS = re.compile(r"(\.location|\.url|_url|endpoint|\.header\.field\.name)$", re.I)
_HARMLESS_STORAGE = re.compile(
    r"^((aws|google|azure)_)?(storage_)?(region|default_region|endpoint|endpoint_url|allow_http|virtual_hosted_style_request|conditional_put|copy_if_not_exists|"
    r"account_name|container_name|bucket|bucket_name|timeout|connect_timeout|s3_allow_unsafe_rename|s3_locking_provider|unsigned_payload|skip_signature|use_emulator)$"
)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_QUERY = re.compile(r"(?<=\?)\S*$")


def is_secret(section: str, name: str) -> bool:
    """Whether `name` of `section` (client or storage_options) must not be printed."""
    if section == "storage_options":
        return not _HARMLESS_STORAGE.search(name)
    return bool(_SECRET.search(name)) and not _HARMLESS.search(name)


def without_secrets(text: str) -> str:
    """`text` with what a URL may carry masked: user and password before the host, and everything after a question mark."""
    return _QUERY.sub(MASK, _USERINFO.sub(MASK, text)) if "://" in text else text

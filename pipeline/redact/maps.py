"""Attributes, redacted: keys that a rule names, values and keys that a pattern is found in.

In: a MAP(string, string) array, its keys and values plain or dictionary-encoded. Out: one of the same type. Never: a key twice in one row, which
engines refuse: the second one masked alike is numbered.
"""

from collections import Counter

import numpy as np
import pyarrow as pa

from tracebraid.pipeline.redact.arrays import NULL, Codes, count, distinct, restored
from tracebraid.pipeline.redact.keys import on_keys
from tracebraid.pipeline.redact.patterns import mask_of, masked
from tracebraid.pipeline.redact.rules import Rules
from tracebraid.schemas.table import STRING


def redact_map(attributes: pa.MapArray, rules: Rules, counts: Counter[str]) -> pa.MapArray:
    """`attributes` redacted; the same array where nothing was found. counts: values that a rule changed, by its name."""
    offsets = attributes.offsets.to_numpy().astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    if first == last:
        return attributes
    offsets -= first
    items = attributes.items.slice(first, last - first)
    keys, key_codes = distinct(attributes.keys.slice(first, last - first))
    values, codes = distinct(items)
    rule = on_keys(rules.keys, keys)[key_codes]
    before = sum(counts.values())
    values, codes = _values(values, codes, rule, rules, counts)
    masks, key_codes = _keys(keys, key_codes, offsets, rules, counts)
    dropped = np.isin(rule, [number for number, each in enumerate(rules.keys) if each.what == "drop"])
    for number in np.unique(rule[dropped]).tolist():
        counts[rules.keys[number].name] += int(np.count_nonzero(rule == number))
    if sum(counts.values()) == before and masks is keys:  # a dictionary's keys that no row has are in its file, too
        return attributes
    if dropped.any():
        key_codes, codes = key_codes[~dropped], codes[~dropped]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(~dropped)])[offsets]
    new_keys, new_items = restored(masks, key_codes, attributes.type.key_type), restored(values, codes, attributes.type.item_type)
    nulls = attributes.is_null() if attributes.null_count else None
    return pa.MapArray.from_arrays(pa.array(offsets.astype(np.int32)), new_keys, new_items, type=attributes.type, mask=nulls)


def _values(values: pa.StringArray, codes: Codes, rule: Codes, rules: Rules, counts: Counter[str]) -> tuple[pa.StringArray, Codes]:
    whole = values
    values, hits = masked(values, rules.patterns)
    taken = np.full(len(rule), False)
    for number in np.unique(rule[rule >= 0]).tolist():
        each = rules.keys[number]
        mine = (rule == number) & (codes != NULL)
        taken |= mine
        if each.what != "drop" and mine.any():
            counts[each.name] += int(np.count_nonzero(mine))
            used, place = np.unique(codes[mine], return_inverse=True)
            if each.what == "hash":
                made = rules.hashed(whole.take(pa.array(used)))
            else:
                made, place = pa.array([mask_of(each.name)], STRING), np.zeros_like(place)
            codes = codes.copy()
            codes[mine] = len(values) + place.reshape(-1)
            values = pa.concat_arrays([values, made])
    for name, places in hits.items():
        if found := count(codes[~taken], places, len(values)):
            counts[name] += found
    return values, codes


def _keys(keys: pa.StringArray, codes: Codes, offsets: Codes, rules: Rules, counts: Counter[str]) -> tuple[pa.StringArray, Codes]:
    """Keys masked: a map from addresses to counts has them where nobody looks for them."""
    masks, hits = masked(keys, rules.patterns)
    if not hits:
        return keys, codes
    for name, places in hits.items():
        counts[name] += count(codes, places, len(keys))
    texts = masks.to_pylist()
    changed = np.zeros(len(keys) + 1, np.bool_)
    changed[np.concatenate(list(hits.values()))] = True
    row = np.searchsorted(offsets, np.flatnonzero(changed[codes]), side="right") - 1
    numbers = {text: number for number, text in reversed(list(enumerate(texts)))}
    codes = codes.copy()
    for start, end in zip(offsets[np.unique(row)].tolist(), offsets[np.unique(row) + 1].tolist(), strict=True):
        _number(codes[start:end], changed, texts, numbers)
    return pa.array(texts, STRING), codes


def _number(codes: Codes, changed: "np.ndarray[tuple[int], np.dtype[np.bool_]]", texts: list[str], numbers: dict[str, int]) -> None:
    """One row's keys, told apart in place. New ones go to the end of `texts`, and to `numbers`."""
    held = codes.tolist()
    seen = {texts[code] for code in held if not changed[code]}
    after: Counter[str] = Counter()
    for place, code in enumerate(held):
        text = texts[code]
        if code < len(changed) and changed[code]:
            told = text
            while told in seen:
                after[text] += 1
                told = f"{text}#{after[text] + 1}"
            seen.add(told)
            if told not in numbers:
                numbers[told] = len(texts)
                texts.append(told)
            codes[place] = numbers[told]

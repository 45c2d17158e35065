"""`python -m tests.fuzz.guided [options of libFuzzer]`: the decoders written in Python, on inputs that lead into lines which none before led into.

In: atheris (`pip install atheris`; no dependency of ours: it has wheels for few systems). Out: what libFuzzer prints; an input that breaks a decoder is
kept in a file. Never: the compiled walkers, whose machine code it cannot look into: they have `python -m tests.fuzz`.
"""

import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ModuleNotFoundError:
    raise SystemExit("skipped: atheris is not installed") from None

with atheris.instrument_imports(include=["tracebraid.pipeline.decode"], exclude=["tracebraid.pipeline.decode.walkers"]):
    from tracebraid.pipeline.decode.registry import DECODERS, decode

from tests.batches import records_of
from tests.fuzz.inputs import others

ENCODINGS = ("auto", *DECODERS)


def one_input(data: bytes) -> None:
    """The first byte says the encoding, as which the rest is read."""
    if not data:
        return
    records = records_of([data[1:]], ENCODINGS[data[0] % len(ENCODINGS)])
    decoded = decode(records, kernels=False)
    assert decoded.rows_in >= 1
    assert "decoder_error" not in decoded.rejects.column("reason").to_pylist(), decoded.rejects.to_pylist()


def main() -> None:
    with tempfile.TemporaryDirectory() as corpus:
        for number, value in enumerate(others()):
            (Path(corpus) / str(number)).write_bytes(bytes([0]) + value)
        atheris.Setup([*sys.argv, corpus], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

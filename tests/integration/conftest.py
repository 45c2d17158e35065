"""What all tests of this folder need."""

import pytest

from tests import kernels


@pytest.fixture(scope="session", autouse=True)
def _kernels() -> None:
    """Tests here have deadlines, and on a machine that has never compiled the kernels that takes longer than some of them."""
    kernels.made()

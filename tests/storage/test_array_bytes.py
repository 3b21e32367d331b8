"""Arrays as bytes come back as they were, and other bytes are no arrays."""

from __future__ import annotations

import numpy as np
import pytest

from tokimp.storage.array_bytes import from_bytes, to_bytes


def test_arrays_come_back() -> None:
    """Values, types and shapes come back to the bit, of numbers and of texts, and can be written to."""
    arrays = {
        "numbers": np.array([[np.nan, -0.0, 1e-300], [1, 2, 3]]).T,
        "whole": np.array([-1, 2**62]),
        "one": np.array(0.5),
        "nothing": np.zeros((0, 3), np.float32),
        "flags": np.array([True, False]),
        "texts": np.array([["", "é\n"], ["\0", "half \ud800"]], dtype=object),
        "plain": np.array(["a", "bc"]),
        "no texts": np.empty((0,), dtype=object),
    }
    again = from_bytes(to_bytes(arrays))
    assert again is not None
    assert list(again) == list(arrays) or set(again) == set(arrays)
    for name, array in arrays.items():
        assert again[name].shape == array.shape
        if array.dtype.kind in "OU":
            assert again[name].tolist() == array.tolist()
        else:
            assert again[name].dtype == array.dtype
            assert again[name].tobytes() == np.ascontiguousarray(array).tobytes()
            again[name][...] = 0


@pytest.mark.parametrize("content", [b"", b"x" * 40, b"\x10" + b"\0" * 7 + b"{" * 9, to_bytes({"a": np.zeros(3)})[:-1]])
def test_other_bytes_are_no_arrays(content: bytes) -> None:
    """What was cut short, or is something else, is nothing."""
    assert from_bytes(content) is None


def test_texts_that_do_not_fit_their_shape_are_no_arrays() -> None:
    """A list of texts of another length than its shape is nothing."""
    bad = np.frombuffer(b'{"shape": [3], "texts": ["a"]}', dtype=np.uint8)
    assert from_bytes(to_bytes({"a\0text": bad})) is None
    assert from_bytes(to_bytes({"a\0text": np.frombuffer(b"3", dtype=np.uint8)})) is None

"""A safetensors file that is written part by part, so that no tensor has to be in memory whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

#: What safetensors calls the types that are written here.
_TYPES = {np.dtype("float32"): "F32", np.dtype("int16"): "I16", np.dtype("bool"): "BOOL"}
_ALIGNMENT_BYTES = 8


class TensorFile(AbstractContextManager["TensorFile"]):
    """A file of tensors with one length; the bytes are those that the safetensors library writes.

    The layout: the length of the header as eight bytes, the header as JSON, then the tensors, wider types first.
    """

    def __init__(self, path: Path, tensors: Mapping[str, tuple[npt.DTypeLike, tuple[int, ...]]]) -> None:
        """Write the header for ``tensors``: names with type and shape."""
        kinds = {name: (np.dtype(kind), shape) for name, (kind, shape) in tensors.items()}
        header: dict[str, Any] = {}
        self._row_bytes: dict[str, int] = {}
        end = 0
        for name, (kind, shape) in sorted(kinds.items(), key=lambda item: (-item[1][0].itemsize, item[0])):
            begin, end = end, end + kind.itemsize * int(np.prod(shape))
            header[name] = {"dtype": _TYPES[kind], "shape": shape, "data_offsets": [begin, end]}
            self._row_bytes[name] = kind.itemsize * int(np.prod(shape[1:]))
        encoded = json.dumps(header, separators=(",", ":")).encode()
        encoded += b" " * (-len(encoded) % _ALIGNMENT_BYTES)
        self._start = {name: 8 + len(encoded) + entry["data_offsets"][0] for name, entry in header.items()}
        self._kinds = {name: kind for name, (kind, _) in kinds.items()}
        self._stream = path.open("wb")
        self._stream.write(len(encoded).to_bytes(8, "little") + encoded)

    def write(self, name: str, row: int, part: npt.NDArray[Any]) -> None:
        """Write ``part`` of the tensor ``name``, of which the first row is ``row``."""
        little = np.ascontiguousarray(part, self._kinds[name].newbyteorder("<"))
        self._stream.seek(self._start[name] + row * self._row_bytes[name])
        self._stream.write(little.data)

    def __exit__(self, *_: object) -> None:
        self._stream.close()

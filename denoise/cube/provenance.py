"""The PROVENANCE table: what fixes the numbers (science) and the circumstances of the run (run)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from denoise.errors import InputError

EXTNAME = "PROVENANCE"


@dataclass(frozen=True)
class Provenance:
    """Two mappings of text to text.

    Attributes
    ----------
    science : mapping of str to str
        Configuration (YAML), seed, method and weights hash, input checksum: equal science, equal data.
    run : mapping of str to str
        Versions, device, workers, times.
    """

    science: Mapping[str, str] = field(default_factory=dict)
    run: Mapping[str, str] = field(default_factory=dict)


def provenance_hdu(provenance: Provenance) -> fits.BinTableHDU:
    r"""Binary table with the columns part, key, value: one row per line of text, so long YAML stays readable.

    A FITS string holds printable ASCII without trailing blanks; anything else is written as ``\uXXXX``.
    """
    rows = [
        (part, _escape(str(key)), _escape(line))
        for part, entries in (("science", provenance.science), ("run", provenance.run))
        for key, value in entries.items()
        for line in str(value).split("\n")
    ]
    columns = []
    for i, name in enumerate(("part", "key", "value")):
        texts = [row[i].encode("ascii") for row in rows]
        width = max([1, *(len(t) for t in texts)])
        columns.append(fits.Column(name=name, format=f"{width}A", array=np.array(texts, dtype=f"S{width}")))
    hdu = fits.BinTableHDU.from_columns(columns, name=EXTNAME)
    hdu.header["COMMENT"] = "part science: what fixes the numbers; part run: where and when."
    hdu.header["COMMENT"] = "Rows with the same part and key are the lines of one value."
    return hdu


def read_provenance(path: str | Path) -> Provenance:
    """Provenance of an output file.

    Raises
    ------
    InputError
        Not a FITS file or Zarr group, or it has no such table.
    """
    if Path(path).is_dir():
        from denoise.cube.zarr_reader import zarr_provenance

        return zarr_provenance(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(path, memmap=False) as hdus:
                if EXTNAME not in hdus:
                    raise InputError(
                        f"{path} has no {EXTNAME} table", action="give a file written by this package"
                    )
                return _parse(hdus[EXTNAME].data)
    except OSError as error:
        raise InputError(
            f"cannot read {path}", value=error, action="give a FITS file written by this package"
        ) from error


def _parse(rows: Iterable[Any]) -> Provenance:
    lines: dict[str, dict[str, list[str]]] = {"science": {}, "run": {}}
    for part, key, value in rows:
        lines.setdefault(str(part).strip(), {}).setdefault(_unescape(str(key)), []).append(
            _unescape(str(value))
        )
    joined = {part: {k: "\n".join(v) for k, v in entries.items()} for part, entries in lines.items()}
    return Provenance(joined["science"], joined["run"])


def _escape(text: str) -> str:
    body = text.rstrip(" ")
    tail = "\\u0020" * (len(text) - len(body))
    return "".join(c if " " <= c <= "~" and c != "\\" else _code(c) for c in body) + tail


def _code(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def _unescape(text: str) -> str:
    return text.encode("ascii").decode("unicode_escape")

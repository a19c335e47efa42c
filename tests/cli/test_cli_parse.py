"""What is typed on the command line becomes values, or one clear refusal."""

from __future__ import annotations

import pytest

from denoise.cli import parse
from denoise.errors import UsageError


def test_assignments_are_yaml_scalars() -> None:
    words = ["threshold=4", "penalty=soft", "fdr=1e-3", "x=[1, 2]", "y=null", "z=true", "mode=off", "w=a=b"]
    assert parse.assignments(words) == {
        "threshold": 4,
        "penalty": "soft",
        "fdr": 1e-3,
        "x": [1, 2],
        "y": None,
        "z": True,
        "mode": "off",
        "w": "a=b",
    }


@pytest.mark.parametrize("words", [["threshold"], ["=4"], ["a=1", "a=2"]])
def test_wrong_assignments_are_refused(words: list[str]) -> None:
    with pytest.raises(UsageError, match="--set"):
        parse.assignments(words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8GB", 8_000_000_000),
        ("512MiB", 512 * 1024**2),
        ("1.5 gb", 1_500_000_000),
        ("2G", 2 * 10**9),
        ("700", 700),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    assert parse.size(text) == expected


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0", "8 apples", "1e9GB", "8I"])
def test_wrong_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--memory is not a size"):
        parse.size(text)


def test_stabilisation() -> None:
    assert parse.stabilisation("1.5,0,3.2") == {"gain": 1.5, "offset": 0.0, "read_noise": 3.2}
    assert parse.stabilisation("2") == {"gain": 2.0}


@pytest.mark.parametrize("text", ["", "a,b,c", "1,2,3,4"])
def test_wrong_stabilisation_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--vst needs gain,offset,readnoise"):
        parse.stabilisation(text)


def test_words() -> None:
    allowed = ("uncert", "residual", "noise")
    assert parse.words("noise, residual,noise", option="--save", allowed=allowed) == ("noise", "residual")
    assert parse.words("", option="--save", allowed=allowed) == ()
    with pytest.raises(
        UsageError, match=r"--save does not know this word \(found: stat\); use uncert, residual, noise"
    ):
        parse.words("stat", option="--save", allowed=allowed)


def test_hdu() -> None:
    assert parse.hdu("1") == 1
    assert parse.hdu("DATA") == "DATA"
    assert parse.hdu(None) is None

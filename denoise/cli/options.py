"""The options that several commands share, as annotated types; their help stands here once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

INPUT, PHYSICS, RUNNING = "Input", "Physics", "Running"

Hdu = Annotated[
    str | None,
    typer.Option(
        help="Extension with the data, by number or name; found when not given.", rich_help_panel=INPUT
    ),
]
Stokes = Annotated[
    str | None, typer.Option(help="Stokes plane (I, Q, U, V or its number).", rich_help_panel=INPUT)
]
Mask = Annotated[
    Path | None,
    typer.Option(help="FITS mask of coverage: 0 is no data, NaN in the output.", rich_help_panel=INPUT),
]
Exclude = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|RANGES",
        help="Not used for noise and detection: a FITS mask, or ranges such as 'channels 3:7, -50:-20 km/s'.",
        rich_help_panel=INPUT,
    ),
]
Noise = Annotated[Path | None, typer.Option(help="FITS file with the noise.", rich_help_panel=INPUT)]
NoiseKind = Annotated[
    str | None,
    typer.Option(
        metavar="sigma|variance|weight",
        help="What that file holds; decided from its unit and name when not given.",
        rich_help_panel=INPUT,
    ),
]
Gain = Annotated[
    Path | None,
    typer.Option(help="Primary-beam response that the input was corrected with.", rich_help_panel=INPUT),
]
Psf = Annotated[
    Path | None,
    typer.Option(help="Dirty beam or PSF image: its shape is the noise correlation.", rich_help_panel=INPUT),
]
Beam = Annotated[
    str | None,
    typer.Option(
        metavar="MAJ,MIN,PA", help="Beam FWHM and angle, where the header has none.", rich_help_panel=INPUT
    ),
]
Rest = Annotated[
    str | None,
    typer.Option(
        metavar="VALUE", help="Rest frequency or wavelength, e.g. 115.271GHz.", rich_help_panel=INPUT
    ),
]

Continuum = Annotated[
    str,
    typer.Option(
        metavar="MODE",
        help="auto, none, median, smooth[:CHANNELS] or polynomial:ORDER; subtracted, and restored after.",
        rich_help_panel=PHYSICS,
    ),
]
Positivity = Annotated[
    str,
    typer.Option(
        metavar="auto|on|off",
        help="Emission cannot be negative; auto: where the data agree.",
        rich_help_panel=PHYSICS,
    ),
]
Vst = Annotated[
    str | None,
    typer.Option(
        metavar="GAIN,OFFSET,READNOISE",
        help="Counts of a detector: stabilise the variance of their Poisson noise first.",
        rich_help_panel=PHYSICS,
    ),
]

Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Allowed beside what the program itself takes, e.g. 8GB.",
        rich_help_panel=RUNNING,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
JsonLog = Annotated[
    bool,
    typer.Option(
        "--json-log", help="Progress and messages as JSON lines on stderr.", rich_help_panel=RUNNING
    ),
]
NoReport = Annotated[
    bool, typer.Option("--no-report", help="Do not write the HTML report.", rich_help_panel=RUNNING)
]


@dataclass(frozen=True)
class Reading:
    """How the inputs are to be read: the keywords of ``denoise.read``, those that were given."""

    hdu: int | str | None = None
    stokes: str | None = None
    mask: Path | None = None
    exclude: str | None = None
    noise: Path | None = None
    noise_kind: str | None = None
    gain: Path | None = None
    psf: Path | None = None
    beam: str | None = None
    rest: str | None = None

    def given(self) -> dict[str, Any]:
        """Keywords that differ from not given."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name)) is not None}

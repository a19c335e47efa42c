"""The options that several commands share, as annotated types; their help stands here once."""

from __future__ import annotations

from typing import Annotated

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
    str | None,
    typer.Option(
        metavar="FILE",
        help="No coverage (NaN in the output) where it is not 0; 'none' ignores the file's own mask.",
        rich_help_panel=INPUT,
    ),
]
Exclude = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|RANGES",
        help="Not used for noise and detection: a mask (not 0), or ranges: 'channels 3:7, -50:-20 km/s'.",
        rich_help_panel=INPUT,
    ),
]
Noise = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="The noise of the data; FILE[HDU] names its extension.", rich_help_panel=INPUT
    ),
]
NoiseKind = Annotated[
    str | None,
    typer.Option(
        metavar="sigma|variance|weight",
        help="What that file holds; decided from its unit and name when not given.",
        rich_help_panel=INPUT,
    ),
]
Companion = Annotated[
    str,
    typer.Option(
        metavar="trust|scale|ignore",
        help="The noise that the input or --noise gives: as it is, scaled to the measured level, or measured.",
        rich_help_panel=INPUT,
    ),
]
Gain = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="Primary-beam response that the input was corrected for.", rich_help_panel=INPUT
    ),
]
Psf = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="Dirty beam or PSF: its shape is the noise correlation.", rich_help_panel=INPUT
    ),
]
Beam = Annotated[
    str | None,
    typer.Option(
        metavar="MAJ,MIN,PA",
        help="Beam FWHM and angle, such as 1.2arcsec,0.9arcsec,30deg; wins over the header.",
        rich_help_panel=INPUT,
    ),
]
Rest = Annotated[
    str | None,
    typer.Option(
        metavar="VALUE",
        help="Rest frequency or wavelength, e.g. 115.271GHz; wins over the header.",
        rich_help_panel=INPUT,
    ),
]
Crop = Annotated[
    str | None,
    typer.Option(
        metavar="PARTS",
        help="Denoise this part only: 'channels 10:60', '-200:300 km/s', 'x 20:79, y 20:79', "
        "'around RA DEC SIZE', or several with commas.",
        rich_help_panel=INPUT,
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

Uncertainty = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Errors (UNCERT) from N draws of the noise, denoised again (16 are usual); 0: the method's own.",
        rich_help_panel=PHYSICS,
    ),
]

Device = Annotated[
    str,
    typer.Option(
        metavar="auto|cpu|cuda",
        help="Where methods that can choose compute; auto: on a GPU, if there is one.",
        rich_help_panel=RUNNING,
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Allowed beside what the program itself takes (for each worker), e.g. 8GB.",
        rich_help_panel=RUNNING,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(metavar="N", help="Do the tiles in N processes of this machine.", rich_help_panel=RUNNING),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Do them on a running Dask cluster, e.g. tcp://node1:8786.",
        rich_help_panel=RUNNING,
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.yaml",
        help="Do them in jobs of SLURM, PBS...: see pipelines/clusters.",
        rich_help_panel=RUNNING,
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        "-r",
        metavar="RECIPE",
        help="What to do, from a YAML file or a packaged one (denoise recipe); -o and --memory go with it.",
        show_default=False,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Do only what is missing, failed, or whose input or configuration changed.",
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

"""What `noiser` does to astronomical data, in numbers and one figure.

    python benchmarks/noiser_report.py                    # noiser_report.png here
    python benchmarks/noiser_report.py --smoothing 0.35 --clip none

1. AUC: chance that a voxel of the emission is brighter than one without, on 20 simulated channels, against the data as
   they are, their asinh (the same by definition: it keeps the order) and a Gaussian of the beam.
2. Linearity: response to a point source of 1 to 100 sigma, over that of proportion; and the flux that the restore
   keeps.
3. Cross-talk: what a source of 100 sigma elsewhere does to one of 5 sigma.
4. Empty field: correlation, skewness, excess kurtosis and largest region of the output, beside those of the noise
   itself smoothed until its neighbours are as correlated.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import denoise
from denoise.methods import get_method
from denoise.metrics import emission_auc
from denoise.noise import NoiseModel
from denoise.simulate import Observation, draw_scene, observe
from denoise.testing.subject import state_of

Array = NDArray[np.float32]
BEAM = (4.5, 4.5, 0.0)  # FWHM in pixels
FIELD = (8, 96, 96)
PEAKS = (1, 2, 3, 5, 10, 20, 50, 100)
CHANNELS, SNR = 20, 5.0
DRAWS = 8
_SIGMA = BEAM[0] / 2.3548


def shown(data: Array, noise: NoiseModel, parameters: dict[str, Any]) -> Array:
    """The output for display of a cube (channel, y, x)."""
    return np.asarray(denoise.denoise(data, "noiser", noise=noise, threads=1, **parameters).cube.data)


def channels(parameters: dict[str, Any]) -> tuple[dict[str, list[float]], tuple[Array, Array, Array, Array]]:
    """AUC of every channel map, and one channel as it is: data, enhanced, Gaussian of the beam, truth."""
    scores: dict[str, list[float]] = {"data": [], "asinh": [], "Gaussian of the beam": [], "noiser": []}
    example = None
    for seed in range(CHANNELS):
        rng = np.random.default_rng(seed)
        scene = draw_scene(rng, "disc" if seed % 2 else "multi", shape=FIELD, fwhm=BEAM[0])
        made = observe(scene, Observation(FIELD, BEAM, peak_snr=SNR, noise="white_convolved"), seed)
        noise = NoiseModel.from_beam(FIELD, made.channel_sigma, BEAM)
        k = int(made.truth.sum(axis=(1, 2)).argmax())
        data, smooth = made.noisy, ndimage.gaussian_filter(made.noisy, (0, _SIGMA, _SIGMA))
        out = shown(data, noise, parameters)
        images = {
            "data": data,
            "asinh": np.arcsinh(data / made.sigma),
            "Gaussian of the beam": smooth,
            "noiser": out,
        }
        for name, image in images.items():
            found = emission_auc(made.truth[k], image[k])
            scores[name].append(np.nan if found is None else found)
        if example is None:
            example = data[k] / made.sigma, out[k], smooth[k] / made.sigma, made.truth[k] / made.sigma
    assert example is not None
    return scores, example


def point(shape: tuple[int, ...], at: tuple[int, int, int]) -> Array:
    """A point source of peak 1, one and a half channels wide."""
    axes = [np.arange(n) - p for n, p in zip(shape, at, strict=True)]
    widths = (1.0, _SIGMA, _SIGMA)
    c, y, x = (np.exp(-0.5 * (step / width) ** 2) for step, width in zip(axes, widths, strict=True))
    return np.asarray(c[:, None, None] * y[:, None] * x, np.float32)


def linearity(parameters: dict[str, Any]) -> tuple[NDArray[np.float64], list[Any], float]:
    """Response over proportion to that of 3 sigma, for each of PEAKS; the injected sources of the restore."""
    noise, at = NoiseModel.from_beam(FIELD, 1.0, BEAM), (4, 48, 48)
    source, made = point(FIELD, at), np.zeros(len(PEAKS))
    for draw in range(DRAWS):
        data = noise.sample(seed=draw)
        empty = shown(data, noise, parameters)[at]
        made += [shown(data + np.float32(peak) * source, noise, parameters)[at] - empty for peak in PEAKS]
    made /= DRAWS
    relative = (made / made[PEAKS.index(3)]) / (np.array(PEAKS) / 3)
    restorer = get_method("noiser")(restore="photometric", **parameters)
    found = state_of(restorer, noise.sample(seed=0) + 20 * source, noise).restored
    return relative, list(found.injected), float(found.gain)


def cross_talk(parameters: dict[str, Any]) -> tuple[float, float]:
    """Change of the contrast of a 5 sigma source when one of 100 sigma is elsewhere; its standard error. Per cent."""
    noise, at = NoiseModel.from_beam(FIELD, 1.0, BEAM), (4, 24, 24)
    faint, bright = np.float32(5) * point(FIELD, at), np.float32(100) * point(FIELD, (4, 72, 72))
    found = []
    for draw in range(DRAWS):
        data = noise.sample(seed=draw)
        contrast = [
            shown(one + faint, noise, parameters)[at] - shown(one, noise, parameters)[at]
            for one in (data, data + bright)
        ]
        found.append(100 * (contrast[1] / contrast[0] - 1))
    return float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(DRAWS))


def empty(parameters: dict[str, Any]) -> tuple[dict[str, list[float]], tuple[Array, Array]]:
    """Noise alone: correlation at two lags, skewness, kurtosis, largest region above 2.5 of its own sigma."""
    noise = NoiseModel.from_beam(FIELD, 1.0, BEAM)
    numbers: dict[str, list[list[float]]] = {"data": [], "noiser": [], "data, smoothed alike": []}
    for draw in range(DRAWS):
        data = noise.sample(seed=100 + draw)
        out = shown(data, noise, parameters)
        wanted = _lag(out, 1)
        width = min(np.linspace(0, 2.5, 51), key=lambda s: abs(_lag(_smoothed(data, s), 1) - wanted))
        alike = _smoothed(data, float(width))
        for name, image in (("data", data), ("noiser", out), ("data, smoothed alike", alike)):
            numbers[name].append([_lag(image, 1), _lag(image, 4), *_shape(image), _largest(image)])
    means = {name: list(np.mean(rows, axis=0)) for name, rows in numbers.items()}
    return means, (data[0], out[0])


def _smoothed(data: Array, width: float) -> Array:
    return ndimage.gaussian_filter(data, (0, width, width)) if width else data


def _lag(image: Array, lag: int) -> float:
    centred = image - image.mean()
    return float(np.mean(centred[..., lag:] * centred[..., :-lag]) / np.mean(centred**2))


def _shape(image: Array) -> tuple[float, float]:
    """Skewness and excess kurtosis."""
    standard = (image - image.mean()) / image.std()
    return float(np.mean(standard**3)), float(np.mean(standard**4) - 3)


def _largest(image: Array) -> float:
    high = (image - image.mean()) / image.std() > 2.5
    sizes = [np.bincount(ndimage.label(plane)[0].ravel())[1:].max(initial=0) for plane in high]
    return float(max(sizes))


def draw(path: Path, example: Any, curve: Any, injected: Any, blank: Any) -> None:
    """Maps of one channel and of an empty field, and the linearity."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Ellipse

    fig = Figure(figsize=(13, 8), dpi=130, facecolor="white", layout="tight")
    FigureCanvasAgg(fig)
    axes = fig.subplots(2, 4)
    data, out, smooth, truth = example
    maps = (
        (axes[0, 0], data, "data", "σ of the noise", (-4, SNR + 2)),
        (axes[0, 1], out, "noiser", "display value (no unit)", None),
        (axes[0, 2], smooth, "Gaussian of the beam", "σ of the noise in the data", None),
        (axes[0, 3], truth, "truth", "σ of the noise", None),
        (axes[1, 0], blank[0], "empty field: data", "σ of the noise", (-4, 4)),
        (axes[1, 1], blank[1], "empty field: noiser", "display value (no unit)", None),
    )
    for ax, image, title, label, limits in maps:
        low, high = limits or np.percentile(image, [0.5, 99.8])
        artist = ax.imshow(image, origin="lower", vmin=low, vmax=high, cmap="viridis")
        ax.add_patch(Ellipse((7, 7), BEAM[0], BEAM[1], fill=False, color="white"))
        ax.set_title(title)
        ax.set_xlabel("x (pixel)")
        ax.set_ylabel("y (pixel)")
        fig.colorbar(artist, ax=ax, label=label, location="bottom", pad=0.2)
    ax = axes[1, 2]
    ax.semilogx(PEAKS, 100 * curve, "o-", color="#0072B2")
    ax.axhline(100, color="#999999", lw=0.8)
    ax.set_ylim(0, None)
    ax.set_title("display: response")
    ax.set_xlabel("peak of a point source (σ)")
    ax.set_ylabel("of proportion to that at 3 σ (%)")
    ax = axes[1, 3]
    ax.semilogx([one.snr for one in injected], [100 * one.ratio for one in injected], "o", color="#D55E00")
    ax.axhspan(90, 110, color="#eeeeee", zorder=0)
    ax.axhline(100, color="#999999", lw=0.8)
    ax.set_ylim(80, 120)
    ax.set_xticks([3, 5, 10, 20, 50], ["3", "5", "10", "20", "50"], minor=False)
    ax.minorticks_off()
    ax.set_title("restored: flux back")
    ax.set_xlabel("peak of an injected source (σ)")
    ax.set_ylabel("of the flux put in (%)")
    fig.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoothing", type=float)
    parser.add_argument("--clip", help="a number, or none")
    parser.add_argument("--out", type=Path, default=Path("noiser_report.png"))
    asked = parser.parse_args()
    parameters: dict[str, Any] = {} if asked.smoothing is None else {"smoothing": asked.smoothing}
    if asked.clip is not None:
        parameters["clip"] = None if asked.clip == "none" else float(asked.clip)
    scores, example = channels(parameters)
    print(f"AUC of the emission, {CHANNELS} channels of peak SNR {SNR:g}: mean and standard error")
    for name, values in scores.items():
        print(f"  {name:24s} {np.nanmean(values):.4f} +- {np.nanstd(values) / np.sqrt(len(values)):.4f}")
    curve, injected, gain = linearity(parameters)
    print("response to a point source over proportion to that at 3 sigma, per cent")
    print("  " + "  ".join(f"{peak}: {100 * value:.0f}" for peak, value in zip(PEAKS, curve, strict=True)))
    worst = 100 * max(abs(one.ratio - 1) for one in injected)
    print(f"restored: gain {gain:.4f}, flux of {len(injected)} injected sources off by {worst:.1f} % at most")
    change, error = cross_talk(parameters)
    print(f"contrast of a 5 sigma source with one of 100 sigma elsewhere: {change:+.2f} +- {error:.2f} %")
    numbers, blank = empty(parameters)
    print(
        "empty field: correlation at 1 and 4 pixels, skewness, excess kurtosis, largest region above 2.5 sigma"
    )
    for name, values in numbers.items():
        print(f"  {name:24s} " + "  ".join(f"{value:8.3f}" for value in values))
    draw(asked.out, example, curve, injected, blank)
    print(asked.out)


if __name__ == "__main__":
    main()

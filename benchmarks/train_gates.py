"""Fit the gates of ``ist`` on simulated cubes and write ``models/ist-gates``.

    python benchmarks/train_gates.py models/ist-gates/recipe.yaml --work train-gates

Needs torch (the extra ``networks``). Cubes are simulated once into the folder ``--work`` (about 1.5 s each on one core;
what is there already is used), the fit takes some ten minutes. It never looks at the ten bench cubes.

Because the synthesis of the starlet is a sum, the estimate of a voxel depends on nothing but the coefficients at that
voxel: the fit is a regression over voxels. The loss of a cube is the logarithm of the error energy, summed over
emission (truth above 5 % of its peak), aperture and whole field, with penalties on the bias of the flux in the
emission, of the mean where the truth exceeds 70 % of its peak, and of the flux outside the emission: this as the square
of the SNR, because it can be seen where that is high.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from denoise.noise import NoiseModel
from denoise.simulate import HANNING_ACF, simulate_cube
from denoise.simulate.populations import draw_galaxies
from denoise.transforms import detection, starlet, wavelets
from denoise.transforms.gates import SIDE, brightness, padded, strength
from denoise.transforms.whitening import whiten

BANDS = SIDE**2
FIRST_SEED = {"train": 10_000_000, "validation": 15_000_000}
KINDS = {"disc": 0.34, "unresolved": 0.18, "multi": 0.18, "merger": 0.2, "empty": 0.04, "filled": 0.06}
SEEN = 0.02  # weight of the region below which a voxel is not used
ROWS = 5000  # voxels of a cube in one step
MOST_ROWS = 14_000  # voxels of a cube kept, beside those near its peak


def simulate(seed: int) -> dict[str, Any]:
    """One cube in units of its noise, with its noise model: arrays (channel, y, x)."""
    rng = np.random.default_rng((77, seed))
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    snr = _log_uniform(rng, 2.2, 9) if rng.random() < 0.85 else _log_uniform(rng, 9, 100)
    mean, ratio = rng.uniform(4, 5), rng.uniform(0.65, 1)
    family, channels, smoothed = "white_convolved", 40, False
    if rng.random() < 0.45:
        mean, ratio = _log_uniform(rng, 2, 9), rng.uniform(0.5, 1)
        family = str(rng.choice(["white_convolved", "imaged_gaussian", "white"], p=[0.45, 0.35, 0.2]))
        channels = int(rng.choice([1, 4, 12, 24, 40, 64, 100], p=[0.06, 0.06, 0.1, 0.1, 0.38, 0.2, 0.1]))
        smoothed = channels >= 12 and rng.random() < 0.25
    beam = (mean / math.sqrt(ratio), mean * math.sqrt(ratio), rng.uniform(0, 180))
    shape = (max(channels, 40), 96, 96)
    galaxies = draw_galaxies(rng, kind, shape=shape, fwhm=mean)  # type: ignore[arg-type]
    if kind not in ("empty", "filled") and seed % 2:
        galaxies = _thickened(rng, galaxies)
    made = simulate_cube(seed, shape=shape, galaxies=galaxies, beam=beam, peak_snr=snr, noise=family)  # type: ignore[arg-type]
    truth, noise = made.truth, made.noise
    if smoothed:
        wide = np.pad(noise, ((1, 1), (0, 0), (0, 0)), mode="wrap")
        noise = (wide[:-2] + 2 * wide[1:-1] + wide[2:]) / np.sqrt(6)
    if channels < len(truth):
        first = int(np.argmax(truth.sum(axis=(1, 2)))) - int(rng.integers(channels))
        window = slice(min(max(first, 0), len(truth) - channels), None)
        truth, noise = truth[window][:channels], noise[window][:channels]
        truth = truth / max(truth.max(), 1e-30)
    model = _noise_model(truth.shape, beam, family, HANNING_ACF if smoothed else np.ones(1))
    return {
        "truth": truth * np.float32(snr),
        "noise": noise,
        "aperture": made.aperture,
        "model": model,
        "snr": snr,
    }


def _thickened(rng: np.random.Generator, galaxies: list[Any]) -> list[Any]:
    """Turbulent, thick, larger discs, often with a diffuse halo."""
    wide, thick, large = _log_uniform(rng, 1, 4), rng.uniform(1, 4), rng.uniform(1, 1.7)
    out = [
        replace(
            one,
            dispersion=one.dispersion * wide,
            scale_height=one.scale_height * thick,
            effective_radius=one.effective_radius * large,
        )
        for one in galaxies
    ]
    if rng.random() < 0.6:
        halo = replace(
            out[0],
            flux=out[0].flux * _log_uniform(rng, 0.1, 1),
            effective_radius=out[0].effective_radius * rng.uniform(1.3, 3),
            index=1.0,
            scale_height=out[0].scale_height * 2,
            dispersion=out[0].dispersion * rng.uniform(1, 2.5),
            clumpiness=0.0,
        )
        out.append(halo)
    return out


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _noise_model(shape: Any, beam: Any, family: str, spectral_acf: np.ndarray) -> NoiseModel:
    if family == "white":
        return NoiseModel.white(shape, 1.0, spectral_acf=spectral_acf)
    kind = "imaged" if family == "imaged_gaussian" else "white_convolved"
    return NoiseModel.from_beam(shape, 1.0, beam, kind, spectral_acf=spectral_acf)


def table(seed: int) -> dict[str, np.ndarray]:
    """What the fit needs of one cube: inputs and coefficients of some of its voxels, truths, and what is left out."""
    cube = simulate(seed)
    truth, valid = cube["truth"], np.ones(cube["truth"].shape, bool)
    seen = detection.find_emission((truth + cube["noise"]).astype(np.float32), valid, cube["model"])
    wanted = whiten(truth.astype(np.float32), valid, cube["model"]).data.ravel()
    region, plain = seen.found.region.ravel(), truth.ravel()
    emission = plain > 0.05 * max(plain.max(), 1e-9)
    bright = (plain > 0.6 * plain.max()) | (wanted > 0.4 * wanted.max())
    masks = (emission, np.broadcast_to(cube["aperture"], truth.shape).ravel(), np.ones_like(emission))
    inside = region > SEEN
    rows, weights = _chosen(np.random.default_rng((5, seed)), inside, inside & bright & (plain > 0))
    scales = tuple(min(SIDE - 1, n) for n in wavelets.default_scales(truth.shape))
    left = padded(detection.noise_left(seen.white.noise, scales))
    bands = _bands(seen.white.data, scales)[:, rows]
    near = strength(seen.white.data, detection.noise_left(seen.white.noise, scales)).ravel()[rows]
    return {
        "inputs": _inputs(bands, left, np.stack([region[rows], brightness(near)])),
        "bands": np.ascontiguousarray(bands.T),
        "noise": _spread(detection.band_noise(seen.white.noise, scales), np.float32(1e9)).ravel(),
        "region": region[rows],
        "truth": wanted[rows],
        "weights": weights,
        "emission": emission[rows].astype(np.float32),
        "aperture": masks[1][rows].astype(np.float32),
        "top": (plain > 0.7 * max(plain.max(), 1e-9))[rows].astype(np.float32),
        "lost": np.array([np.square(wanted[mask & ~inside]).sum() for mask in masks], np.float32),
        "lost_flux": np.array([wanted[m & ~inside].sum() for m in (emission, ~emission)], np.float32),
        "flux": np.float32(wanted.sum()),
        "snr": np.float32(cube["snr"]),
    }


def _chosen(
    rng: np.random.Generator, inside: np.ndarray, always: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    first, rest = np.flatnonzero(always), np.flatnonzero(inside & ~always)
    if first.size > 6000:
        first = rng.choice(first, 6000, replace=False)
    factor = max(1.0, rest.size / MOST_ROWS)
    if factor > 1:
        rest = rng.choice(rest, MOST_ROWS, replace=False)
    weights = np.concatenate([np.ones(first.size), np.full(rest.size, factor)]).astype(np.float32)
    return np.concatenate([first, rest]), weights


def _spread(values: np.ndarray, empty: Any) -> np.ndarray:
    """Per-band values of a cube with fewer scales, where a network looks for them: details first, coarse last."""
    spatial, spectral = ([*range(n - 1), SIDE - 1] for n in values.shape[:2])
    out = np.full((SIDE, SIDE, *values.shape[2:]), empty, np.float32)
    out[np.ix_(spatial, spectral)] = values
    return out


def _bands(data: np.ndarray, scales: Any) -> np.ndarray:
    bands = starlet.forward(data, spatial_scales=scales[0], spectral_scales=scales[1])
    return _spread(bands, np.float32(0)).reshape(BANDS, -1)


def _inputs(bands: np.ndarray, left: np.ndarray, other: np.ndarray, knee: float = 4.0) -> np.ndarray:
    sums = bands.reshape(SIDE, SIDE, -1)
    for axis in (0, 1):
        sums = np.flip(np.cumsum(np.flip(sums, axis), axis=axis), axis)
    ratio = (sums / left[:, :, None]).reshape(BANDS, -1)
    numbers = np.log(np.concatenate([left[1:, 0], left[0, 1:]]))
    columns = [
        ratio / (1 + np.abs(ratio) / knee),
        other,
        np.repeat(numbers[:, None], other.shape[1], axis=1),
    ]
    return np.ascontiguousarray(np.concatenate(columns).T.astype(np.float32))


class Gate(torch.nn.Module):
    """The network of ``denoise.transforms.gates`` in torch."""

    def __init__(self, units: int, floor: float) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(BANDS + 2 + 2 * (SIDE - 1), units)
        self.out = torch.nn.Linear(units, BANDS)
        self.floor = floor
        torch.nn.init.zeros_(self.out.weight)

    def forward(self, inputs: torch.Tensor, bands: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Gated sums."""
        mirrored = torch.cat([-inputs[:, :BANDS], inputs[:, BANDS:]], dim=1)
        z = torch.maximum(self._logits(inputs), self._logits(mirrored))
        gains = 0.5 * (1 + z / (1 + z.abs()))
        least = 1 - torch.square(self.floor * noise) / (bands * bands + 1e-12)
        return (torch.maximum(gains, least) * bands).sum(dim=1)

    def _logits(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.hidden(inputs)))  # type: ignore[no-any-return]


def terms(gate: Gate, cube: dict[str, torch.Tensor], rows: torch.Tensor | slice) -> dict[str, torch.Tensor]:
    """Error energies and relative biases of one cube."""
    region, truth = cube["region"][rows], cube["truth"][rows]
    weights = cube["weights"][rows]
    weights = weights * (cube["weights"].sum() / weights.sum())
    error = gate(cube["inputs"][rows], cube["bands"][rows], cube["noise"]) * region - truth
    emission, aperture, top = (cube[name][rows] for name in ("emission", "aperture", "top"))
    energy = weights * error * error
    lost, lost_flux = cube["lost"], cube["lost_flux"]
    flux_in = (weights * emission * truth).sum() + lost_flux[0]
    peak = weights * top
    zero = torch.zeros(())
    has = bool(cube["flux"] > 0)
    return {
        "emission": (energy * emission).sum() + lost[0],
        "aperture": (energy * aperture).sum() + lost[1],
        "cube": energy.sum() + lost[2],
        "bias_flux": ((weights * emission * error).sum() - lost_flux[0]) / flux_in if has else zero,
        "bias_outside": ((weights * (1 - emission) * error).sum() - lost_flux[1]) / cube["flux"]
        if has
        else zero,
        "bias_peak": (peak * error).sum() / (peak * truth).sum() if has and peak.sum() > 0 else zero,
    }


def loss(
    gate: Gate, cube: dict[str, torch.Tensor], rows: torch.Tensor | slice, weight: dict[str, float]
) -> Any:
    """See the module."""
    found = terms(gate, cube, rows)
    total = sum(weight[name] * torch.log(found[name] + 1) for name in ("emission", "aperture", "cube"))
    snr = min(float(cube["snr"]), 20.0)
    total = total + weight["bias_flux"] * found["bias_flux"] ** 2
    total = total + weight["bias_outside"] * snr**2 * min(1.0, snr / 8) ** 4 * found["bias_outside"] ** 2
    return total + weight["bias_peak"] * found["bias_peak"] ** 2


def fit(recipe: dict[str, Any], train: list[Any], validation: list[Any]) -> Gate:
    """Adam with a cosine rate; a few cubes a step."""
    torch.manual_seed(recipe["seed"])
    rng = np.random.default_rng(recipe["seed"])
    gate = Gate(recipe["units"], recipe["floor"])
    optimiser = torch.optim.Adam(gate.parameters(), recipe["rate"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe["steps"], 1e-5)
    start = time.monotonic()
    for step in range(1, recipe["steps"] + 1):
        total = torch.zeros(())
        for k in rng.choice(len(train), recipe["cubes_a_step"], replace=False):
            size = len(train[k]["weights"])
            rows = torch.from_numpy(rng.choice(size, min(size, ROWS), replace=False))
            total = total + loss(gate, train[k], rows, recipe["loss"]) / recipe["cubes_a_step"]
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step % 1000 == 0 or step == recipe["steps"]:
            with torch.no_grad():
                mean = np.mean([float(loss(gate, cube, slice(None), recipe["loss"])) for cube in validation])
            print(f"step {step}: validation {mean:.4f}, {time.monotonic() - start:.0f} s", flush=True)
    return gate


def prepared(folder: Path, name: str, count: int, workers: int) -> list[dict[str, torch.Tensor]]:
    """Tables of `count` cubes, made where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {FIRST_SEED[name] + k: folder / f"{name}-{k:05d}.npz" for k in range(count)}
    missing = [seed for seed, path in paths.items() if not path.exists()]
    with ProcessPoolExecutor(workers) as pool:
        for seed, made in zip(missing, pool.map(table, missing, chunksize=4), strict=True):
            np.savez(paths[seed], **made)  # type: ignore[arg-type]
    tables = []
    for path in paths.values():
        with np.load(path) as values:
            if len(values["weights"]) > 50:
                tables.append({key: torch.from_numpy(np.asarray(values[key])) for key in values.files})
    return tables


def write(gate: Gate, recipe: dict[str, Any], path: Path) -> None:
    """Weights, and the recipe with their checksum."""
    from safetensors.numpy import save

    values = {
        "w1": gate.hidden.weight,
        "b1": gate.hidden.bias,
        "w2": gate.out.weight,
        "b2": gate.out.bias,
    }
    arrays = {key: np.ascontiguousarray(value.detach().numpy(), np.float32) for key, value in values.items()}
    arrays |= {"floor": np.array(gate.floor, np.float32), "knee": np.array(4.0, np.float32)}
    content = save(arrays)
    path.with_name("weights.safetensors").write_bytes(content)
    recipe["sha256"] = hashlib.sha256(content).hexdigest()
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))


def main() -> None:
    """Simulate, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument(
        "--work", type=Path, default=Path("train-gates"), help="folder of the simulated cubes"
    )
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    recipe = yaml.safe_load(asked.recipe.read_text())
    torch.set_num_threads(asked.workers)
    train, validation = (
        prepared(asked.work, name, recipe[name], asked.workers) for name in ("train", "validation")
    )
    print(f"{len(train)} cubes to fit, {len(validation)} to validate", flush=True)
    write(fit(recipe, train, validation), recipe, asked.recipe)


if __name__ == "__main__":
    main()

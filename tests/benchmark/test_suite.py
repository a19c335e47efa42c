"""Suites: the packaged ones load, wrong ones are refused in one line, what fixes the cubes fixes the fingerprint."""

import pytest
import yaml

from denoise.benchmark import FLOORS, list_cases, load_suite, make_case, suite_names
from denoise.benchmark.suite import check_rows
from denoise.errors import InputError, ParameterError, UsageError

SMALL = {
    "suite": "small",
    "version": 1,
    "title": "Small",
    "seed": 3,
    "cubes": 2,
    "cases": {
        "source": "simulated",
        "groups": {"resolved": {"disc": 1}, "unresolved": {"unresolved": 1}},
        "snr_bins": [[4, 5], [6, 8]],
        "shape": [12, 48, 48],
    },
    "methods": ["smooth wide"],
}


def written(tmp_path, **changes):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({**SMALL, "methods": ["ist"], **changes}))
    return path


def test_packaged_suites_load_and_know_their_methods():
    assert {"toy-discs", "mergers", "empty-fields", "half-data", "flux-bias", "bench"} <= set(suite_names())
    for name in suite_names():
        suite = load_suite(name)
        assert suite.suite == name
        assert not set(suite.methods) & set(FLOORS)
        check_rows(suite)


SIMULATED = [name for name in suite_names() if load_suite(name).cases.source == "simulated"]


@pytest.mark.parametrize("name", SIMULATED)
def test_the_cubes_of_every_packaged_suite_can_be_made(name):
    suite = load_suite(name, cubes=2)
    for group in suite.cases.groups:
        for case in [one for one in list_cases(suite, None) if one.group == group][:2]:
            assert make_case(suite, case, None).observation.noisy.shape == suite.cases.shape


def test_the_fingerprint_is_of_the_cubes_alone(tmp_path):
    suite = load_suite(written(tmp_path))
    assert load_suite(written(tmp_path, methods=["pca"], title="Other")).fingerprint == suite.fingerprint
    for change in ({"seed": 4}, {"cubes": 3}, {"version": 2}):
        assert load_suite(written(tmp_path, **change)).fingerprint != suite.fingerprint
    assert load_suite(written(tmp_path), cubes=3).fingerprint != suite.fingerprint


def test_refusals_name_the_place(tmp_path):
    with pytest.raises(UsageError, match="toy-discs"):
        load_suite("toy-disks")
    with pytest.raises(InputError, match=r"small.yaml is not a benchmark suite: cubes: .*found: 0"):
        load_suite(written(tmp_path, cubes=0))
    with pytest.raises(InputError, match="zeros always in the table"):
        load_suite(written(tmp_path, methods=["zeros"]))
    path = tmp_path / "broken.yaml"
    path.write_text("suite: [1\n")
    with pytest.raises(InputError, match="not valid YAML in line 2"):
        load_suite(path)
    with pytest.raises(InputError, match="cannot be read"):
        load_suite(tmp_path / "none.yaml")
    with pytest.raises(ParameterError, match="row 'a': "):
        check_rows(
            load_suite(written(tmp_path, methods={"a": {"method": "ist", "parameters": {"thresh": 3}}}))
        )


def test_simulated_cases_are_what_their_bin_says(tmp_path):
    suite = load_suite(written(tmp_path))
    cases = list_cases(suite)
    assert len(cases) == 2 * 2 * 2
    assert len({case.key for case in cases}) == len(cases)
    for case in cases:
        made = make_case(suite, case)
        one = made.observation
        assert case.snr[0] <= made.facts["peak_snr"] <= case.snr[1]
        assert one.truth.max() / one.sigma == pytest.approx(made.facts["peak_snr"], rel=1e-3)
        fwhm = (one.beam_pixels[0] * one.beam_pixels[1]) ** 0.5
        assert 4 <= fwhm <= 5
        radius = made.sources[0].radius
        assert (2 * radius > fwhm) == (case.group == "resolved")


def test_a_draw_changes_the_noise_and_not_the_truth(tmp_path):
    suite = load_suite(written(tmp_path), draws=2, cubes=1)
    first, second = (make_case(suite, case) for case in list_cases(suite)[:2])
    assert (first.observation.truth == second.observation.truth).all()
    assert (
        abs((first.observation.noise * second.observation.noise).mean()) < 0.1 * first.observation.noise.var()
    )

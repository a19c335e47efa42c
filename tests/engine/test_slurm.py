"""`denoise run --cluster` on a real SLURM of two nodes: the same bytes as here, also when a job is cancelled."""

import gc
import tempfile
from pathlib import Path

import pytest
import yaml

from denoise.cli.app import execute
from denoise.cube import read_provenance
from denoise.engine import run_file
from denoise.resources import resource

from .conftest import MEMORY, assert_equal_files, at_the_first_tile, options
from .slurm import ask, missing, running_jobs, slurm

pytest.importorskip("dask_jobqueue", reason="the extra [cluster] is not installed")

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=f"no SLURM here: {missing()}"),
    # the pipes of dask-jobqueue's own commands
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def _slurm():
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, slurm(Path(folder)):
        yield
        gc.collect()


@pytest.fixture
def cluster(tmp_path):
    """The template as a user changes it."""
    values = yaml.safe_load(resource("pipelines", "clusters", "slurm.yaml").read_text())
    values |= {"minimum": 2, "maximum": 2}
    file = tmp_path / "jobs" / "slurm.yaml"
    file.parent.mkdir()
    values["options"] |= {"cores": 1, "memory": "2GB", "queue": "debug", "interface": "lo"}
    values["options"]["log_directory"] = str(file.parent)
    file.write_text(yaml.safe_dump(values))
    return file


@pytest.fixture(scope="module")
def local(given):
    return run_file(given, given.with_name("local.fits"), options()).path


def test_a_file_from_two_nodes_equals_one_from_here(obs, local, cluster):
    out = obs.with_name("out.fits")
    words = ["--cluster", str(cluster), "--memory", str(MEMORY), "--no-report"]
    assert execute(["run", str(obs), "-o", str(out), *words]) == 0
    assert_equal_files(out, local)
    assert read_provenance(out).run["workers"] == "slurm, at most 2 workers"
    assert not ask("squeue", "-h", "-t", "pending,running")


def test_a_job_that_is_cancelled_costs_nothing_but_time(obs, local, cluster):
    cancelled = []

    def cancel():
        cancelled.append(running_jobs()[-1])
        ask("scancel", "--signal=KILL", "--full", cancelled[0])  # at once: no time to say goodbye
        ask("scancel", cancelled[0])

    out = obs.with_name("out.fits")
    run_file(obs, out, options(), cluster=cluster, progress=at_the_first_tile(cancel))
    assert cancelled
    assert_equal_files(out, local)

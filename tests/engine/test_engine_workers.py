"""Tiles in worker processes: the same bytes as in one process, and what happens when something dies."""

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from astropy.io import fits

import denoise
from denoise.cube import read_provenance
from denoise.engine import CancelToken, open_runner, run_file
from denoise.engine.clusters import make_cluster, read_cluster
from denoise.errors import CancelledError, InputError, ParameterError, ResourceError
from denoise.resources import resource

from .conftest import (
    MEMORY,
    assert_equal_files,
    at_the_first_tile,
    only_the_input_is_left,
    options,
)

pytest.importorskip("distributed", reason="the extra [cluster] is not installed")
from denoise.engine import dask_runner


@pytest.fixture(scope="module")
def runner():
    with open_runner(workers=2) as opened:
        yield opened


@pytest.fixture(scope="module")
def serial(given):
    return run_file(given, given.with_name("serial.fits"), options())


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "pca", "continuum": "median"},
        {
            "method": "smooth",
            "parameters": {"fwhm": 2.0},
            "then": [{"method": "smooth", "parameters": {"fwhm": 3.0}}],
            "memory": 16_000_000,
        },
        {
            "method": "smooth",
            "save": ("uncert", "residual", "noise"),
            "parameters": {"fwhm": 3.0},
            "memory": 8_000_000,
        },
        {
            "method": "smooth",
            "vst": {"gain": 1.0, "offset": -50.0},
            "parameters": {"fwhm": 3.0},
            "memory": 8_000_000,
        },
    ],
)
def test_a_file_from_workers_equals_one_from_this_process(runner, obs, changes):
    alone = run_file(obs, obs.with_name("alone.fits"), options(**changes))
    many = run_file(obs, obs.with_name("many.fits"), options(**changes), runner=runner)
    assert not alone.provenance.run["tiles"].startswith("1 ")
    assert many.provenance.run["workers"] == "2 local processes"
    assert_equal_files(alone.path, many.path)
    assert many.metrics == alone.metrics
    assert sorted(p.name for p in obs.parent.iterdir()) == ["alone.fits", "many.fits", "obs.fits"]


def test_a_zarr_group_from_workers_equals_one_from_this_process(runner, obs):
    zarr = pytest.importorskip("zarr", reason="the extra [cluster] is not installed")
    stores = []
    for name, used in (("alone.zarr", None), ("many.zarr", runner)):
        run_file(obs, obs.with_name(name), options(method="pca"), runner=used)
        stores.append(zarr.open(obs.with_name(name), mode="r"))
    for name in ("DATA", "RESIDUAL"):
        assert stores[0][name][...].tobytes() == stores[1][name][...].tobytes()


def test_progress_is_told_as_in_this_process(runner, obs):
    told = {"serial": [], "workers": []}
    for name, used in (("serial", None), ("workers", runner)):
        run_file(obs, obs.with_name(f"{name}.fits"), options(), progress=told[name].append, runner=used)
    steps = [[(e.stage, e.done, e.total) for e in events] for events in told.values()]
    assert steps[0] == steps[1]


def test_an_array_in_memory_and_a_cluster_of_its_own(given):
    data = fits.getdata(given)
    alone, many = (
        denoise.denoise(data, "smooth", memory=MEMORY, fwhm=3.0, **more) for more in ({}, {"workers": 1})
    )
    assert many.cube.data.tobytes() == alone.cube.data.tobytes()
    assert many.uncertainty.data.tobytes() == alone.uncertainty.data.tobytes()
    assert many.metrics == alone.metrics


@pytest.mark.parametrize("method", ["ist", "pca"])
def test_lazy_equals_eager(given, method):
    lazy = denoise.denoise_lazy(given, method, memory=MEMORY)
    eager = denoise.denoise(given, method, memory=MEMORY).cube.data
    assert lazy.npartitions > 1
    assert len(lazy.dask) == lazy.npartitions + 2  # one task a tile; the fit; the list of tiles
    assert (lazy.shape, lazy.dtype) == (eager.shape, eager.dtype)
    assert lazy.compute(scheduler="threads").tobytes() == eager.tobytes()
    part = lazy[3, 100:120].compute(scheduler="synchronous")
    assert np.array_equal(part, eager[3, 100:120], equal_nan=True)


def test_a_worker_killed_at_its_tile_costs_nothing_but_time(runner, obs, serial):
    def kill():
        client = runner._client
        tasks = client.processing()  # on a busy machine all that was handed out may be done
        busy = max(tasks, key=lambda address: len(tasks[address]))
        pid = client.run(os.getpid, workers=[busy])[busy]
        os.kill(pid, signal.SIGKILL)

    out = obs.with_name("out.fits")
    result = run_file(obs, out, options(), runner=runner, progress=at_the_first_tile(kill))
    assert_equal_files(out, serial.path)
    assert result.metrics == serial.metrics


_DEADLY = """
import os
from denoise.methods import Denoiser, MethodInfo

class Method(Denoiser):
    info = MethodInfo(name="deadly", summary="Kills its process", citation="@misc{deadly}")

    def apply(self, block, noise, state):
        os._exit(9)
"""


def test_a_tile_that_kills_every_worker_is_one_error(obs, offered):
    with (
        offered("deadly_method", _DEADLY, {"deadly": "Method"}),
        pytest.raises(ResourceError) as caught,
    ):
        run_file(obs, obs.with_name("out.fits"), options(method="deadly"), workers=1)
    assert str(caught.value) == (
        "a tile was given up: every worker that tried it died (found: 4 workers); "
        "give the workers more memory, or take smaller tiles with --memory"
    )
    assert only_the_input_is_left(obs)


def test_cancelling_leaves_nothing_and_the_workers_ready(runner, obs):
    token = CancelToken()
    with pytest.raises(CancelledError):
        run_file(
            obs,
            obs.with_name("out.fits"),
            options(),
            runner=runner,
            cancel=token,
            progress=at_the_first_tile(token.cancel),
        )
    assert only_the_input_is_left(obs)
    run_file(obs, obs.with_name("out.fits"), options(), runner=runner)


def test_results_that_take_longer_to_come_than_a_look(runner, obs, serial, monkeypatch):
    monkeypatch.setattr(dask_runner, "_POLL", 0.002)
    run_file(obs, obs.with_name("out.fits"), options(), runner=runner)
    assert_equal_files(serial.path, obs.with_name("out.fits"))


@pytest.mark.parametrize("where", ["here", "workers"])
def test_an_output_folder_that_is_removed(runner, obs, tmp_path, where):
    folder = tmp_path / "results"
    folder.mkdir()
    used = runner if where == "workers" else None
    with pytest.raises(ResourceError, match=r"the output cannot be written: .*No such file"):
        run_file(
            obs,
            folder / "out.fits",
            options(),
            runner=used,
            progress=at_the_first_tile(lambda: shutil.rmtree(folder)),
        )
    assert only_the_input_is_left(obs)


@pytest.mark.parametrize("where", ["here", "workers"])
def test_an_input_that_is_cut_short(runner, obs, where):
    used = runner if where == "workers" else None
    with pytest.raises(InputError, match=r"cannot read pixels of .*obs\.fits"):
        run_file(
            obs,
            obs.with_name("out.fits"),
            options(),
            runner=used,
            progress=at_the_first_tile(lambda: os.truncate(obs, 40_000)),
        )
    assert only_the_input_is_left(obs)


@pytest.fixture
def running_cluster(tmp_path):
    """A scheduler and a worker as a site runs them: the scheduler's address and its process."""
    file = tmp_path / "cluster" / "scheduler.json"
    file.parent.mkdir()
    base = [sys.executable, "-m", "distributed.cli.dask_{}"]
    commands = {
        "scheduler": ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-jupyter"],
        "worker": ["--nthreads", "1", "--no-dashboard", "--memory-limit", "4GB"],
    }
    started = [
        subprocess.Popen(
            [part.format(name) for part in base] + ["--scheduler-file", str(file), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=file.parent,
        )
        for name, arguments in commands.items()
    ]
    while not file.exists() or not file.read_text().endswith("}"):
        time.sleep(0.1)
    yield json.loads(file.read_text())["address"], started[0]
    for process in started[::-1]:
        process.kill()
        process.wait()


def test_a_running_scheduler_and_its_loss(running_cluster, obs, serial):
    address, process = running_cluster
    folder = obs.parent / "here"
    folder.mkdir()
    out = folder / "out.fits"
    run_file(obs, out, options(), scheduler=address)
    assert_equal_files(out, serial.path)
    assert read_provenance(out).run["workers"] == f"scheduler {address}"
    out.unlink()
    with pytest.raises(ResourceError, match="the connection to the Dask scheduler was lost") as caught:
        run_file(obs, out, options(), scheduler=address, progress=at_the_first_tile(process.kill))
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []


def test_ctrl_c_ends_a_run_and_its_workers(obs):
    code = "import sys; from denoise.cli.app import main; main(sys.argv[1:])"
    words = ["run", str(obs), "-o", str(obs.with_name("out.fits")), "--workers", "2", "--memory", "30MB"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words, "--json-log", "--no-report"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group, as a terminal has one for each command
    ) as started:
        while '"denoising"' not in started.stderr.readline():
            assert started.poll() is None
        os.killpg(started.pid, signal.SIGINT)
        said = started.stderr.read()
    assert started.returncode == 130, said
    assert "Traceback" not in said
    group = [one for one in psutil.process_iter() if one.pid and os.getpgid(one.pid) == started.pid]
    alive = [one for one in group if one.status() != psutil.STATUS_ZOMBIE]
    assert not psutil.wait_procs(alive, timeout=20)[1]
    assert only_the_input_is_left(obs)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"workers": 2, "scheduler": "tcp://a:1"},
            "more than one way to run (found: workers, scheduler); choose one",
        ),
        ({"workers": 0}, "the number of workers is not valid (found: 0); give 1 or more"),
        (
            {"cluster": "absent.yaml"},
            "cannot read absent.yaml (found: No such file or directory); copy one of",
        ),
    ],
)
def test_wrong_ways_to_run(given, message):
    with pytest.raises(ParameterError) as caught, open_runner(**given):
        pass
    assert str(caught.value).startswith(message)


def test_a_scheduler_that_does_not_answer(monkeypatch):
    from denoise.engine import dask_runner

    monkeypatch.setattr(dask_runner, "_ANSWER", 1)
    with (
        pytest.raises(ResourceError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9 "),
        open_runner(scheduler="tcp://127.0.0.1:9"),
    ):
        pass


def test_workers_that_are_still_in_the_queue_need_a_memory():
    from denoise.engine.dask_runner import DaskRunner

    class Waiting:
        def scheduler_info(self, n_workers):
            return {"workers": {}}

    with pytest.raises(ParameterError, match="give it with --memory"):
        DaskRunner(Waiting(), name="slurm", elsewhere=True).memory()


def test_without_dask_the_error_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "denoise.engine.dask_runner", raising=False)
    monkeypatch.delattr("denoise.engine.dask_runner", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ResourceError, match=r"pip install astro-denoise\[cluster\]"), open_runner(workers=1):
        pass


@pytest.mark.parametrize(
    ("queue", "lines"),
    [
        ("slurm", ["#SBATCH --cpus-per-task=4", "#SBATCH -t 04:00:00", "--nworkers 4", "--nthreads 1"]),
        ("pbs", ["#PBS -l select=1:ncpus=4", "#PBS -l walltime=04:00:00", "--nworkers 4", "--nthreads 1"]),
    ],
)
def test_the_templates_make_jobs_of_one_thread_workers(queue, lines):
    pytest.importorskip("dask_jobqueue", reason="the extra [cluster] is not installed")
    described = read_cluster(resource("pipelines", "clusters", f"{queue}.yaml"))
    with make_cluster(described) as cluster:
        script = cluster.job_script()
    assert described.maximum == 64
    for line in lines:
        assert line in script


# the pipes of dask-jobqueue's own jobs
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_jobs_that_run_on_this_machine(obs, serial, tmp_path):
    pytest.importorskip("dask_jobqueue", reason="the extra [cluster] is not installed")
    file = tmp_path / "jobs" / "local.yaml"
    file.parent.mkdir()
    file.write_text(
        "version: 1\nqueue: local\nminimum: 1\nmaximum: 1\noptions: {cores: 1, memory: 2GB, interface: lo}\n"
    )
    out = file.with_name("out.fits")
    run_file(obs, out, options(), cluster=file)
    assert_equal_files(out, serial.path)
    gc.collect()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 1\nqueue: slurm\n", "maximum is not valid"),
        ("version: 1\nqueue: slurm\nmaximum: 2\nminimum: 3\n", "minimum is above maximum"),
        ("version: 1\nqueue: slurm\nmaximum: 2\nworkers: 3\n", "workers is not valid"),
        (
            "version: 1\nqueue: abacus\nmaximum: 2\n",
            "dask-jobqueue does not know this queue .found: abacus.; choose one of",
        ),
        ("version: 1\nqueue: slurm\nmaximum: 2\noptions: {kores: 1}\n", "refuses the options of slurm"),
        ("- a: [", "is not YAML"),
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed cluster")  # dask-jobqueue's own, of what it refused to make
def test_wrong_cluster_files(tmp_path, text, message):
    pytest.importorskip("dask_jobqueue", reason="the extra [cluster] is not installed")
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    with pytest.raises(ParameterError, match=message) as caught, open_runner(cluster=file):
        pass
    assert "\n" not in str(caught.value)
    del caught
    gc.collect()

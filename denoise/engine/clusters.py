"""A job queue described in a YAML file, started with dask-jobqueue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from denoise.errors import ParameterError, ResourceError


class ClusterFile(BaseModel):
    """What the file says.

    Attributes
    ----------
    version : {1}
        Of this layout.
    queue : str
        As dask-jobqueue names it: slurm, pbs, sge, lsf, htcondor, oar, moab.
    minimum, maximum : int
        Workers; between them their number follows the work.
    options : dict
        Of the queue's class in dask-jobqueue: cores, memory, walltime, account...
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    queue: str = Field(min_length=1)
    minimum: int = Field(default=0, ge=0)
    maximum: int = Field(ge=1)
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError("minimum is above maximum: exchange them")
        return self

    @property
    def label(self) -> str:
        """For the record: the queue and how far it may grow."""
        return f"{self.queue}, at most {self.maximum} workers"


def read_cluster(path: Path) -> ClusterFile:
    """The description of a cluster.

    Raises
    ------
    ParameterError
        The file is not there, is not YAML, or says something unknown.
    """
    try:
        values = yaml.safe_load(path.read_text())
        return ClusterFile.model_validate(values)
    except OSError as error:
        raise ParameterError(
            f"cannot read {path}", value=error.strerror, action="copy one of pipelines/clusters"
        ) from None
    except yaml.YAMLError as error:
        raise ParameterError(f"{path} is not YAML", value=error, action="see pipelines/clusters") from None
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "the file"
        reason = first["msg"].removeprefix("Value error, ")
        raise ParameterError(
            f"{path}: {name} is not valid", value=first.get("input"), action=reason[0].lower() + reason[1:]
        ) from None


def make_cluster(described: ClusterFile) -> Any:
    """The dask-jobqueue cluster, without workers yet: one thread for each, as many to a job as it has cores.

    Raises
    ------
    ParameterError
        No such queue, or options that it refuses.
    ResourceError
        dask-jobqueue is not installed.
    """
    try:
        import dask_jobqueue
        from dask_jobqueue.local import LocalCluster
    except ImportError:
        raise ResourceError(
            "a job queue needs the package dask-jobqueue", action="pip install astro-denoise[cluster]"
        ) from None
    known = {
        name.removesuffix("Cluster").lower(): kind
        for name, kind in vars(dask_jobqueue).items()
        if name.endswith("Cluster") and name != "JobQueueCluster"
    }
    known["local"] = LocalCluster  # jobs on this machine, to try a file without a queue
    kind = known.get(described.queue.lower())
    if kind is None:
        raise ParameterError(
            "dask-jobqueue does not know this queue",
            value=described.queue,
            action=f"choose one of {', '.join(sorted(known))}",
        )
    # any free port for the status page: several runs on one machine
    options = {"cores": 1, "scheduler_options": {"dashboard_address": ":0"}, **described.options}
    options.setdefault("processes", options["cores"])
    try:
        return kind(**options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ParameterError(
            f"dask-jobqueue refuses the options of {described.queue}", value=error, action="see its manual"
        ) from error


@contextmanager
def start_cluster(described: ClusterFile) -> Iterator[Any]:
    """The cluster, growing and shrinking with the work; its jobs are cancelled at the end."""
    with make_cluster(described) as cluster:
        cluster.adapt(minimum=described.minimum, maximum=described.maximum)
        yield cluster

"""A local Ray of our own, or a place in one that runs already."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from powderlens.core.errors import InputError

DECIDE = ("powderlens", "numpy", "numba", "pyarrow")
"""Packages whose versions can decide about the bytes of a result; they must be the same on every machine."""
KNOCK_S, HEALTH_S, NODE_S = 5, 20, 90
"""Seconds to wait for a port to open, for Ray to say that it is well, and for a machine to name its versions."""
OBJECT_STORE_MB = 2000
"""Shared memory that a local Ray may take for tables and finished patterns; it is taken as it is needed."""
LEAST_STORE_MB = 80
"""Ray refuses less than 75 MiB."""


@dataclass(frozen=True)
class Cluster:
    """A Ray that this process is connected to.

    Attributes:
        workers: how many tasks or drawers work at a time, each on one CPU.
        local: whether it is a Ray of our own, which ends with us.
    """

    workers: int
    local: bool


@contextmanager
def open_cluster(
    address: str | None = None, *, workers: int | None = None, object_store_MB: int = OBJECT_STORE_MB
) -> Iterator[Cluster]:
    """Start a local Ray, or join one; leave it again at the end.

    A process has one Ray: where it is connected already, that connection is used and kept.

    Args:
        address: HOST:PORT of the head, or "auto" for the one that runs on this machine; None starts a local Ray.
        workers: how many work at a time; None takes every CPU there is.
        object_store_MB: 1e6 bytes of shared memory of a local Ray. One that runs already has its own.

    Yields:
        What to give to `on_cluster` and `ClusterStream`.

    Raises:
        InputError: an address that is none or does not answer, a Ray of another version, machines with other versions
            of powderlens or its libraries, or without CPUs.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers {workers}: at least 1 must do the work")
    if object_store_MB < LEAST_STORE_MB:
        raise InputError(f"object store of {object_store_MB} MB: Ray needs at least {LEAST_STORE_MB}")
    ours = not ray.is_initialized()
    if ours:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        _begin(address, workers, object_store_MB)
    try:
        _compare_machines()
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if cpus < 1:
            raise InputError("this Ray has no CPUs: start workers with `ray start --address`, see docs/CLUSTER.md")
        yield Cluster(workers or cpus, local=ours and address is None)
    finally:
        if ours:
            ray.shutdown()


def _teller(names: tuple[str, ...]) -> Callable[[], dict[str, str]]:
    """A function that names versions; made inside a function, it goes to machines without powderlens as well."""

    def tell() -> dict[str, str]:
        import importlib

        found = {}
        for name in names:
            try:
                found[name] = str(importlib.import_module(name).__version__)
            except ImportError:
                found[name] = "missing"
        return found

    return tell


versions = _teller(DECIDE)


def require_same(expected: dict[str, str], found: dict[str, str], where: str) -> None:
    """Stop where another machine would not give the same bytes.

    Raises:
        InputError: a package is of another version there; it is named.
    """
    other = [f"{name} {found[name]}, here {expected[name]}" for name in expected if found[name] != expected[name]]
    if other:
        raise InputError(f"{where} has {'; '.join(other)}: install the same versions on every machine")


def _begin(address: str | None, workers: int | None, object_store_MB: int) -> None:
    options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if address is None:
        size = {"object_store_memory": object_store_MB * 1_000_000, "include_dashboard": False}
        where, options = "a local Ray", {**options, "address": "local", "num_cpus": workers, **size}
    else:
        where, options["address"] = f"Ray at {address}", address
        if address != "auto":
            _knock(address)
    try:
        try:
            ray.init(**options)
        except Exception:
            if address is not None:
                raise
            # On a busy machine the half minute that Ray gives its own processes can be too short.
            ray.shutdown()
            ray.init(**options)
    except Exception as error:  # Ray raises whatever it likes: RuntimeError, ValueError, ConnectionError, its own
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = " ".join(lines[:4]) or type(error).__name__
        raise InputError(f"{where} cannot be used: {why}; see docs/CLUSTER.md") from None


def _knock(address: str) -> None:
    """See that a Ray answers; Ray itself would try for minutes.

    Raises:
        InputError: no HOST:PORT, or it does not answer.
    """
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 65536 and "/" not in host):
        raise InputError(f"Ray address {address!r}: give HOST:PORT of the head, as 10.0.0.1:6379, or auto")
    remedy = "is it running (`ray start --head --port=6379`), and is the port open?"
    try:
        socket.create_connection((host, int(port)), timeout=KNOCK_S).close()
    except OSError as error:
        raise InputError(f"no Ray answers at {address} ({error.strerror or error}); {remedy}") from None
    check = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        found = subprocess.run(check, capture_output=True, timeout=HEALTH_S, stdin=subprocess.DEVNULL)
        well, said = found.returncode == 0, found.stderr
    except subprocess.TimeoutExpired as late:
        well, said = False, late.stderr or b""
    if b"AuthToken" in said or b"Unauthenticated" in said:
        raise InputError(
            f"Ray at {address} wants its token: set RAY_AUTH_MODE=token, and copy ~/.ray/auth_token of the head to "
            "this machine"
        )
    if not well:
        raise InputError(f"what answers at {address} is no healthy Ray; {remedy}")


def _compare_machines() -> None:
    """Ask every machine that works for its versions; one that Ray finds gone meanwhile needs none.

    Raises:
        InputError: other versions, or a machine that Ray takes for alive and that does not answer.
    """
    tell: Any = ray.remote(num_cpus=0, max_retries=1)(_teller(DECIDE))
    asked = {}
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU", 0) >= 1:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked[tell.options(scheduling_strategy=there).remote()] = node
    own = versions()
    for answer, node in asked.items():
        name = node["NodeManagerAddress"]
        try:
            found = ray.get(answer, timeout=NODE_S)
        except ray.exceptions.RayError as error:
            if node["NodeID"] not in {other["NodeID"] for other in ray.nodes() if other["Alive"]}:
                continue
            raise InputError(f"machine {name} does not answer ({type(error).__name__}); see `ray status`") from None
        require_same(own, found, f"machine {name}")

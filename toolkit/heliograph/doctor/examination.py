"""All that is asked of an installation, asked at once, as one object of names, texts and numbers."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import heliograph
from heliograph.doctor import hardware, software
from heliograph.doctor.asking import Answer
from heliograph.doctor.roles import ROLES, Fitness, fitness
from heliograph.measure.environment import versions as installed

BASE = ("numpy", "pillow", "crc32c", "tqdm")
RUNTIME_PACKAGES = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime", "tf.lite": "tensorflow"}
AT_ONCE = 4  # processes; TensorFlow takes half a gigabyte in each


def examine(advance: Callable[[int, int], object] = lambda done, total: None) -> dict[str, Any]:
    """Return what is here; nothing that is missing or broken is an error.

    Args:
        advance: told how many of how many questions are answered.
    """
    needed = {package.name: package for role in ROLES.values() for package in role.needs}
    versions = installed(*sorted({*BASE, *RUNTIME_PACKAGES.values(), *needed}))
    for name, package in needed.items():
        if versions[name] is None and find_spec(package.module.partition(".")[0]) is not None:
            versions[name] = ""  # by another distribution, such as opencv-python, or from apt
    asked = {("package", name): ask for name, ask in software.import_questions(versions).items()}
    asked |= {("runtime", name): ask for name, ask in software.runtime_questions().items()}
    asked |= {("compiler", name): ask for name, ask in hardware.compiler_questions().items()}
    asked["delegate", software.EDGE_TPU] = software.ask_edge_tpu
    answers = _ask_all(asked, advance)

    problems = {name: a.problem for (kind, name), a in answers.items() if kind == "package" and a.problem}
    runtimes = {
        name: {"version": versions[RUNTIME_PACKAGES[name]], "works": not a.problem, "problem": a.problem}
        for (kind, name), a in answers.items()
        if kind == "runtime"
    }
    has_runtime = any(runtime["works"] for runtime in runtimes.values())
    delegate = answers["delegate", software.EDGE_TPU]
    facts = {
        "heliograph": heliograph.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "board": hardware.board(),
        "cores": os.cpu_count(),
        "packages": {name: version for name, version in versions.items() if version is not None},
        "core": software.has_core(),
        "codecs": software.check_codecs(),
        "runtimes": runtimes,
        "frameworks": {
            name: {
                "devices": answers["package", name].value or [],
                "problem": answers["package", name].problem,
            }
            for name in ("tensorflow", "jax")
            if ("package", name) in answers
        },
        "delegates": {software.EDGE_TPU: {"works": not delegate.problem, "problem": delegate.problem}},
        "compilers": {
            name: _first(answers["compiler", name]) if ("compiler", name) in answers else None
            for name in hardware.COMPILERS
        },
        "cameras": hardware.cameras(),
        "ports": hardware.ports(),
        "accelerators": hardware.accelerators(),
        "roles": {
            name: _as_values(fitness(name, versions, problems, has_runtime=has_runtime)) for name in ROLES
        },
    }
    return private(facts)  # type: ignore[no-any-return]


def _ask_all(
    asked: dict[tuple[str, str], Callable[[], Answer]], advance: Callable[[int, int], object]
) -> dict[tuple[str, str], Answer]:
    answers = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = {pool.submit(ask): key for key, ask in asked.items()}
        for done in as_completed(waiting):
            answers[waiting[done]] = done.result()
            advance(len(answers), len(asked))
    return answers


def _first(answer: Answer) -> str:
    return answer.problem or (answer.value[0] if answer.value else "it told no version")


def _as_values(verdict: Fitness) -> dict[str, Any]:
    return {"works": verdict.works, "missing": verdict.missing, "install": verdict.install}


def private(value: Any) -> Any:
    """Return an object with the user's folder written as ~ in all its texts: it is pasted where others read it."""
    if isinstance(value, str):
        home = str(Path.home())
        return value if home == "/" else value.replace(home, "~")
    if isinstance(value, dict):
        return {key: private(part) for key, part in value.items()}
    return [private(part) for part in value] if isinstance(value, list) else value

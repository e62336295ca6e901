"""The optional C extensions; everything else about the package is in pyproject.toml."""

import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))  # has no stable ABI yet


class StableWheel(bdist_wheel):
    """One wheel for every CPython from 3.10 on, when the extension was built."""

    def finalize_options(self) -> None:
        if sys.implementation.name == "cpython" and not FREE_THREADED:
            self.py_limited_api = "cp310"
        super().finalize_options()


setup(
    ext_modules=[
        Extension(
            "heliograph._core",
            [f"toolkit/heliograph/csrc/{name}.c" for name in ("python", "heliograph", "erasure", "resize")],
            depends=[
                *(f"toolkit/heliograph/csrc/{name}.h" for name in ("heliograph", "erasure", "resize")),
                *(p.as_posix() for p in sorted(Path("toolkit/heliograph/csrc/core").glob("*.h"))),
            ],
            py_limited_api=not FREE_THREADED,
            extra_compile_args=[] if sys.platform == "win32" else ["-O3"],  # a fifth faster than under -O2
            optional=True,  # without a compiler the numpy code does the same, slower
        ),
        Extension(
            "heliograph._jpeg",
            ["toolkit/heliograph/csrc/jpeg.c"],
            py_limited_api=not FREE_THREADED,
            extra_compile_args=[] if sys.platform == "win32" else ["-O3"],
            optional=True,  # without it, what libjpeg warns of in a damaged file is not seen
        ),
    ],
    cmdclass={"bdist_wheel": StableWheel},
)

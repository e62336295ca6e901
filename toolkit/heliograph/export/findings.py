"""What a check found in a model, and how it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heliograph.errors import ExportError


@dataclass(frozen=True)
class Finding:
    """A rule that a model breaks.

    Attributes:
        where: the layer and tensor, or "model".
        problem: what was found and what is expected.
        remedy: what to do.
        fatal: whether the model does not run on the accelerator because of it.
    """

    where: str
    problem: str
    remedy: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{'error' if self.fatal else 'note'}: {self.where}: {self.problem}; {self.remedy}"


def refuse(findings: Sequence[Finding], target: str) -> None:
    """Raise ExportError with every fatal finding, if there is one."""
    fatal = [str(f) for f in findings if f.fatal]
    if fatal:
        raise ExportError(f"the encoder does not fit {target}: {len(fatal)} findings. {'. '.join(fatal)}")

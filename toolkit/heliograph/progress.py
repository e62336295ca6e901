"""Progress bars on standard error: made here, so that --quiet is honoured wherever something takes long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")
_is_quiet = False


def be_quiet(quiet: bool) -> None:
    """Show no bars from now on, or show them again."""
    global _is_quiet
    _is_quiet = quiet


def bar(
    total: float | None, what: str | None = None, *, disable: bool | None = None, **options: Any
) -> tqdm[Any]:
    """Return a bar with the time left.

    Args:
        total: how much there is to do, or None where that is not known.
        what: goes before the bar.
        disable: None to show it on a terminal only, False to show it in logs too, True not to.
        options: of tqdm.
    """
    from tqdm import tqdm

    return tqdm(total=total, desc=what, disable=_is_quiet or disable, **({"unit": ""} | options))


def over(things: Sequence[T], what: str) -> Iterator[T]:
    """Yield things, with a bar that shows how many are done."""
    with bar(len(things), what) as shown:
        for thing in things:
            yield thing
            shown.update()

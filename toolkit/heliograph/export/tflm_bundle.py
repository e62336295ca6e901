"""The bundle for microcontrollers: everything as C, and what it takes, measured."""

from __future__ import annotations

from heliograph.codec.codec import ENTROPY, Codec
from heliograph.export import c_source, cortexm, cost, tflm
from heliograph.export.bundle import ASSUMED, MEASURED, UNKNOWN, Bundle, Figure, tool_version
from heliograph.export.graph import read_graph
from heliograph.export.options import Options

_USE = """Everything a firmware needs besides TensorFlow Lite Micro. Drop the files into a project, add TFLM (with
CMSIS-NN), and write the three functions of `board.h`.

| file | is |
|---|---|
| `heliograph.c`, `heliograph.h` | the integer core: entropy coder and container; C99, no allocation |
| `erasure.c`, `erasure.h` | the erasure code of packets, for a radio that loses some |
| `resize.c`, `resize.h` | pictures made smaller, row by row, where a budget wants it |
| `picture.c`, `picture.h` | a picture tile by tile to a stream; every tile is a slice of its own |
| `codec.c`, `codec.h` | this codec: id, sizes, entropy tables |
| `encoder_model.c`, `.h` | the int8 network as an array |
| `encoder_tflm.cc`, `encoder.h` | runs it under TFLM with just its operations, in an arena of the measured size |
| `main.c`, `board.h` | the example; `board_file.c` is a board made of files, to try it on a computer |

A picture of more than 64 tiles needs `-DHELIOGRAPH_MAX_TILES=N`, a fine quality more `-DHELIOGRAPH_STORE=BYTES`;
`hg_picture` says which of them was too small.

`encoder_tflm.cc` was written for TFLM's C++ interface and not linked with it here: TFLM comes as source. The same
model was run under TFLM's own interpreter, and all other files were compiled and run."""


def build(codec: Codec, options: Options) -> Bundle:
    """Measure the arena, generate the sources, run the C core on an emulated Cortex-M where there is one."""
    graph = read_graph(codec.encoder)
    bundle = Bundle("tflm", codec, notes=[_USE])
    arena = tflm.measure_arena(codec.encoder, graph)
    bundle.files |= c_source.sources(codec) | c_source.network_files(codec.encoder)
    bundle.files["encoder_tflm.cc"] = tflm.runner_source(graph, arena)
    bundle.tools["tflite-micro"] = tool_version("tflite-micro")
    calls = tflm.resolver_calls(graph)
    kinds = [
        (kind, call, str(sum(la.kind == kind for la in graph.layers)))
        for kind, call in zip(graph.kinds, calls, strict=True)
    ]
    bundle.tables.append(("Operations", [("operation", "method of the resolver", "times"), *kinds]))
    measurement = cost.emulate(codec, options)
    bundle.figures += [
        Figure("network in flash, bytes", str(len(codec.encoder)), MEASURED, "the array's size"),
        Figure("entropy tables in flash, bytes", str(len(codec.read(ENTROPY))), MEASURED, "the array's size"),
        Figure("arena, bytes", str(arena.total), MEASURED, "tflite-micro on this 64-bit computer"),
        Figure("of it for tensors, bytes", str(arena.head), MEASURED, "the same on every processor"),
        Figure(
            "arena reserved, bytes",
            str(tflm.arena_for_device(arena)),
            MEASURED,
            "with a margin, in encoder_tflm.cc",
        ),
        Figure(
            "store for coded tiles, bytes",
            str(c_source.STORE),
            ASSUMED,
            "HELIOGRAPH_STORE, to be chosen for the picture",
        ),
    ]
    if measurement is None:
        bundle.figures.append(Figure("code, RAM and stack of the C core", "-", UNKNOWN, cortexm.INSTALL))
    else:
        bundle.tables.append(
            (
                f"The C core on an emulated {measurement.board}",
                [("what", "measured"), *cortexm.table(measurement)],
            )
        )
        ram = arena.total + measurement.ram + c_source.STORE + 3 * codec.tile**2 + measurement.stack_bound
        how = "arena, coder, store, one tile of pixels, stack; without TFLM's own and the camera's"
        bundle.figures.append(Figure("RAM in all, bytes", str(ram), MEASURED, how))
        bundle.tools[cortexm.COMPILER] = cortexm.compiler_version()
    network, needed = cost.network_on_cortex_m(graph.macs / codec.tile**2)
    figures, entropy = cost.entropy_on_cortex_m(measurement, cost.CORTEX_M7_CLOCK)
    bundle.figures += [network, *figures, cost.in_all([needed, entropy])]
    return bundle

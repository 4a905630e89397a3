"""Where files go: a flat folder with a host program, or a library for microcontrollers."""

from __future__ import annotations

from importlib import resources

from snnc.backends.c.dispatch import dispatch_source
from snnc.backends.c.interface import info_source, interface_json
from snnc.backends.c.memory import memory_json, memory_text
from snnc.backends.c.network import Network
from snnc.backends.c.quads import instances
from snnc.backends.c.readme import board_readme, host_readme
from snnc.content import Content

#: Files of the host program that are the same for every network.
HOST_RUNTIME = ("info.h", "trace.h", "trace.c", "npy.h", "npy.c", "host.c")
#: Many samples in a call.
BATCH = ("snn_batch.h", "snn_batch.c")

#: Lists of spikes, and what certain vector units do better.
HOST_LISTS = (
    *("snn_lists.h", "snn_simd.h", "snn_avx512.h", "snn_vnni.h", "snn_amx.h", "snn_avx2.h"),
    "snn_neon.h",
)

Files = dict[str, Content]


def runtime(name: str) -> str:
    """A file that is the same for every network."""
    return (resources.files("snnc.backends.c") / "runtime" / name).read_text(encoding="utf-8")


def flat_files(net: Network) -> Files:
    """Everything in one folder, with a host program."""
    files: Files = {**_network(net), **_host(net)}
    files |= {name: runtime(name) for name in (*HOST_LISTS, *BATCH, "Makefile")}
    files["snn_any.c"] = dispatch_source(net)
    return files | {"interface.json": interface_json(net), "README.txt": host_readme(net)}


def library_files(net: Network) -> Files:
    """``src/`` in the layout of Arduino libraries, with CMake, sizes and the host program."""
    source: Files = {
        **_network(net),
        "snn_lists.h": runtime("snn_few_lists.h"),
        "snn_memory.h": runtime("snn_memory.h"),
        "snn_memory.c": runtime("snn_memory.c"),
    }
    if instances(net.plan):
        source["snn_quads.h"] = runtime(f"snn_quads_{net.machine.columns}.h")
    files: Files = {f"src/{name}": text for name, text in source.items()}
    files |= {f"host/{name}": text for name, text in _host(net).items()}
    files["host/Makefile"] = runtime("host.mk")
    files |= {name: runtime(name) for name in ("CMakeLists.txt", "library.properties")}
    files["examples/Classify/Classify.ino"] = runtime("Classify.ino")
    files |= {"memory.json": memory_json(net), "memory.txt": memory_text(net)}
    return files | {"interface.json": interface_json(net), "README.txt": board_readme(net)}


def _network(net: Network) -> Files:
    return {
        "snn.h": net.header(),
        "snn.c": net.source(),
        "tables.h": net.tables.header(),
        "weights.c": net.tables.definitions(),
        "snn_math.h": runtime("snn_math.h"),
    }


def _host(net: Network) -> Files:
    return {"info.c": info_source(net), **{name: runtime(name) for name in HOST_RUNTIME}}

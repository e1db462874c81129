"""How long from a study UID to a sorted volume, against the usual client and against local files.

    python -m benchmarks.fetch_to_volume [--slices 200] [--size 512] [--repeats 9]

Starts its own Orthanc with one synthetic CT. The contenders take turns, so that a busy moment of the machine
hits all of them; medians are compared. Ours does more: it checks geometry and digests the voxels.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pydicom
from dicomweb_client.api import DICOMwebClient

from imaging.assemble import to_volume
from imaging.dicomweb import DicomwebArchive, DicomwebSource
from tests.ct import SERIES, STUDY, ct_slice, encoded
from tests.orthanc import Orthanc

Contender = Callable[[], object]
Times = dict[str, list[tuple[float, float]]]  # by contender: seconds on the wall, and of our processor time

_ACCEPT = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}


def main() -> None:
    options = _options()
    if options.memory_of:
        print(json.dumps(_memory(options.memory_of)))
        return
    with _stage(options.slices, options.size) as (paths, pacs), ExitStack() as stack:
        times = _measure(_contenders(paths, pacs, stack), options.repeats)
        result = _result(times, _memory_in_fresh_process(pacs.dicomweb_url))
    print(json.dumps({"slices": options.slices, "size": options.size, "repeats": options.repeats, **result}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--memory-of", metavar="URL", help=argparse.SUPPRESS)
    return parser.parse_args()


@contextmanager
def _stage(slices: int, size: int) -> Iterator[tuple[list[Path], Orthanc]]:
    """The same CT as local files and in an Orthanc."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, Orthanc(Path(folder)) as pacs:
        paths = [Path(folder) / f"{index:04}.dcm" for index in range(slices)]
        for index, path in enumerate(paths):
            plane = rng.normal(40, 30, (size, size)).astype(np.int16)
            path.write_bytes(encoded(ct_slice(index, pixels=plane)))
        pacs.push(paths)
        yield paths, pacs


def _contenders(paths: list[Path], pacs: Orthanc, stack: ExitStack) -> dict[str, Contender]:
    url = pacs.dicomweb_url
    loop = asyncio.Runner()
    stack.enter_context(loop)
    archive = DicomwebArchive(DicomwebSource("pacs", url))
    stack.callback(lambda: loop.run(archive.aclose()))
    usual = DICOMwebClient(url)
    wado = f"{url}/studies/{STUDY}/series/{SERIES}"
    return {
        "serinus": lambda: loop.run(_serinus(archive)),
        "dicomweb_client": lambda: _stacked(usual.retrieve_series(STUDY, SERIES)),
        "local_files": lambda: _stacked([pydicom.dcmread(path) for path in paths]),
        "receive_only_sync": lambda: _receive(wado),
        "receive_only_async": lambda: loop.run(_receive_async(wado)),
    }


async def _serinus(archive: DicomwebArchive) -> tuple[int, ...]:
    study = await archive.fetch_study(STUDY, modalities=["CT"])
    return to_volume(study.series[SERIES], pixel_digests=study.pixel_digests).voxels.shape


def _stacked(datasets: list[pydicom.Dataset]) -> tuple[int, ...]:
    """What one writes by hand: sort by position, stack the pixels. No rescale, no check, no digest."""
    datasets.sort(key=lambda dataset: float(dataset.ImagePositionPatient[2]))
    return np.stack([dataset.pixel_array for dataset in datasets]).shape


def _receive(url: str) -> int:
    with httpx.stream("GET", url, headers=_ACCEPT) as response:
        return sum(len(chunk) for chunk in response.iter_bytes())


async def _receive_async(url: str) -> int:
    async with httpx.AsyncClient() as client, client.stream("GET", url, headers=_ACCEPT) as response:
        return sum([len(chunk) async for chunk in response.aiter_bytes()])


def _measure(contenders: dict[str, Contender], repeats: int) -> Times:
    times: Times = {name: [] for name in contenders}
    for turn in range(repeats + 1):
        for name, run in contenders.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            run()
            if turn:  # the first turn warms caches and connections
                times[name].append((time.perf_counter() - start, time.process_time() - cpu_start))
        print(f"turn {turn} of {repeats}", file=sys.stderr)
    return times


def _result(times: Times, memory: dict[str, float]) -> dict[str, object]:
    medians = {name: statistics.median(wall for wall, _ in values) for name, values in times.items()}
    cpu = {name: statistics.median(cpu for _, cpu in values) for name, values in times.items()}
    faster = medians["dicomweb_client"] / medians["serinus"]
    of_local = medians["serinus"] / medians["local_files"]
    for name, values in times.items():
        fastest = min(wall for wall, _ in values)
        print(
            f"{name:20} median {medians[name] * 1e3:5.0f} ms   fastest {fastest * 1e3:5.0f} ms   "
            f"processor time {cpu[name] * 1e3:5.0f} ms"
        )
    print(f"{faster:.2f} times faster than dicomweb-client (goal: 3.5)")
    print(f"{of_local:.2f} times the time of local files (goal: at most 1.5)")
    print(
        "peak memory of the reader {peak_mib:.0f} MiB, of imports alone {imports_mib:.0f} MiB".format(
            **memory
        )
    )
    return {
        "median_s": {name: round(value, 4) for name, value in medians.items()},
        "median_cpu_s": {name: round(value, 4) for name, value in cpu.items()},
        "times_faster_than_dicomweb_client": round(faster, 2),
        "times_of_local_files": round(of_local, 2),
        "memory": memory,
    }


def _memory_in_fresh_process(url: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.fetch_to_volume", "--memory-of", url]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    memory: dict[str, float] = json.loads(answer.stdout)
    return memory


def _memory(url: str) -> dict[str, float]:
    """Peak resident memory of a process that reads the study once, and what it was before."""
    imports_mib = _peak_mib()

    async def read() -> None:
        archive = DicomwebArchive(DicomwebSource("pacs", url))
        await _serinus(archive)
        await archive.aclose()

    asyncio.run(read())
    return {"imports_mib": round(imports_mib), "peak_mib": round(_peak_mib())}


def _peak_mib() -> float:
    """The kernel's high-water mark of this process (getrusage's survives exec, and would be the parent's)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()

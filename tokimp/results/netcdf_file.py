"""Writing a netCDF file in pieces, on a disk that may be full: HDF5 never learns of it, and the caller does."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import xarray as xr

from tokimp.results.integrity import digest_line_of_file


def write_netcdf(tree: xr.DataTree, path: Path, encoding: dict[str, dict[str, dict[str, bool]]]) -> None:
    """Write a tree to a new netCDF file, variable by variable, and put the digest of the file after it.

    Only one variable is in memory twice at a time. The HDF5 library can end the process where it cannot write, so it is
    given a file that takes everything; if the disk does not, this is raised once HDF5 is done.

    Parameters
    ----------
    tree
        The tree, of plain numbers and texts.
    path
        The file, which is made anew.
    encoding
        As of `xarray.DataTree.to_netcdf`.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with PatientFile(path) as stream:
        tree.to_netcdf(stream, engine="h5netcdf", encoding=encoding)
        stream.raise_problem()
        stream.finish()
    line = digest_line_of_file(path)
    with path.open("ab") as ending:
        ending.write(line)


class PatientFile(io.RawIOBase):
    """A file for reading and writing; what the disk does not take is kept in memory, and raised by `raise_problem`.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("w+b", buffering=0)
        self._problem: OSError | None = None
        # What was written since, and where: later pieces lie over earlier ones.
        self._overflow: list[tuple[int, bytes]] = []
        self._place = self._length = 0

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def writable(self) -> bool:
        """Return that it is."""
        return True

    def seekable(self) -> bool:
        """Return that it is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, and return it."""
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._length}[whence]
        self._place = begin + offset
        return self._place

    def tell(self) -> int:
        """Return the place."""
        return self._place

    def truncate(self, size: int | None = None) -> int:
        """Let the file have a length; a longer one is made up of zeros."""
        before, self._length = self._length, self._place if size is None else size
        try:
            self._file.truncate(self._length)
        except OSError as error:
            self._problem = self._problem or error
        if self._problem is not None and self._length < before:
            # What is cut off is not to come back where the file grows again.
            self._overflow.append((self._length, bytes(before - self._length)))
        return self._length

    def write(self, content: Any) -> int:
        """Write at the place; to memory once the disk has refused something."""
        held = bytes(content)
        if self._problem is None:
            try:
                self._file.seek(self._place)
                written = 0
                while written < len(held):
                    written += self._file.write(held[written:]) or 0
            except OSError as error:
                self._problem = error
        if self._problem is not None:
            self._overflow.append((self._place, held))
        self._place += len(held)
        self._length = max(self._length, self._place)
        return len(held)

    def readinto(self, buffer: Any) -> int:
        """Read from the place, as far as the file goes."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._length - self._place))
        self._file.seek(self._place)
        found = self._file.read(count) or b""
        view[:count] = found + bytes(count - len(found))
        for begin, content in self._overflow:
            first, last = max(begin, self._place), min(begin + len(content), self._place + count)
            if first < last:
                view[first - self._place : last - self._place] = content[first - begin : last - begin]
        self._place += count
        return count

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def raise_problem(self) -> None:
        """Raise what kept the disk from taking something, if anything did."""
        if self._problem is not None:
            raise self._problem

    def finish(self) -> None:
        """Cut the file where HDF5 says that it ends."""
        self._file.truncate(self._length)

    def close(self) -> None:
        """Close the file itself."""
        self._file.close()
        super().close()

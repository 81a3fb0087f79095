"""The list of who was forgotten, which everything that writes a person's rows asks first."""

from __future__ import annotations

import hashlib
import json
import secrets
from contextlib import AbstractContextManager
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from exit_pipeline.errors import LakeError
from exit_pipeline.files import write_text
from exit_pipeline.lock import exclusive, shared
from exit_pipeline.settings import Home

LOCK_SECONDS = 120.0
DELETING = "someone is being forgotten"


class Listed(NamedTuple):
    """The salt of a home, and the salted SHA-256 of each id on its list."""

    salt: str
    hashes: frozenset[str]


class Forgotten:
    """Who was forgotten in a home.

    The list has to outlive the data, as raw logs may bring a person back. Salted hashes keep it
    from naming anyone to who merely reads it; whoever has the home can still test an id.

    Args:
        home: The profile's.
    """

    def __init__(self, home: Home) -> None:
        self.file, self._lock = home.root / "forgotten.json", home.root / ".forgotten.lock"
        self._learning = home.root / ".learning.lock"
        self._read: tuple[int, Listed] = (0, Listed("", frozenset()))

    def stand(self) -> int:
        """Says which list lies there: another number is another list, 0 is none."""
        try:
            return self.file.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def listed(self) -> Listed:
        """Returns the list as it is now."""
        stand = self.stand()
        if stand and stand != self._read[0]:
            told = json.loads(self.file.read_text("utf-8"))
            self._read = stand, Listed(told["salt"], frozenset(told["sha256"]))
        return self._read[1] if stand else Listed("", frozenset())

    def hash(self, user_id: str) -> str:
        """Returns what stands for an id on the list and in the record of deletions."""
        return hashlib.sha256(f"{self.listed().salt}{user_id}".encode()).hexdigest()

    def __contains__(self, user_id: str) -> bool:
        return bool(self.listed().hashes) and self.hash(user_id) in self.listed().hashes

    def without(self, rows: pa.Table) -> pa.Table:
        """Returns the rows, with a column `user_id`, of those who were not forgotten."""
        if not self.listed().hashes:
            return rows
        gone = [user for user in pc.unique(rows["user_id"]).to_pylist() if user in self]
        kept = pc.invert(pc.is_in(rows["user_id"], pa.array(gone, pa.string())))
        return rows.filter(kept) if gone else rows

    def add(self, user_id: str) -> bool:
        """Puts an id on the list; says whether it is new there. The caller shuts out writers."""
        salt, hashes = self.listed()
        if user_id in self:
            return False
        salt = salt or secrets.token_hex(16)
        one = hashlib.sha256(f"{salt}{user_id}".encode()).hexdigest()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.file, json.dumps({"salt": salt, "sha256": sorted({*hashes, one})}))
        return True

    def letting_in(self) -> AbstractContextManager[None]:
        """While this is held nobody is put on the list: ask it, then write, within."""
        return shared(self._lock, LOCK_SECONDS, self._busy(DELETING, LOCK_SECONDS))

    def shutting_out(self) -> AbstractContextManager[None]:
        """While this is held nobody writes what the list let in."""
        refusal = self._busy("a service or `land` is writing", LOCK_SECONDS)
        return exclusive(self._lock, LOCK_SECONDS, refusal)

    def learning(self) -> AbstractContextManager[None]:
        """While this is held nobody is deleted: for what reads for hours and keeps ids it read.

        It waits for a deletion to end; a deletion does not wait for it, and is refused at once.
        """
        return shared(self._learning, LOCK_SECONDS, self._busy(DELETING, LOCK_SECONDS))

    def deleting(self) -> AbstractContextManager[None]:
        """While this is held nothing is `learning`."""
        return exclusive(self._learning, 0, self._busy("a training is going on"))

    def _busy(self, what: str, seconds: float = 0) -> LakeError:
        return LakeError(
            f"{what} in this home" + (f", for {seconds:.0f} s" if seconds else ""),
            where=str(self._lock.parent),
            mend="try again when that has ended",
        )

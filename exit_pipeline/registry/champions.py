"""Who is champion: promoted, refused, rolled back, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from exit_pipeline.errors import ChampionChanged, GateRefusal, RegistryError, UsageError
from exit_pipeline.lock import exclusive
from exit_pipeline.registry.moves import PROMOTED, ROLLED_BACK, Move, champion_stack, reached
from exit_pipeline.registry.reading import RegistryReader, reaching
from exit_pipeline.registry.tags import entries, new_entry, shortened
from exit_pipeline.registry.version import Version

if TYPE_CHECKING:
    from exit_pipeline.evaluation.gates import Decision  # torch comes with it

CHAMPION = "champion"
REFUSED, WITHDRAWN = "refused", "rolled back from"
LOCK_SECONDS = 60.0


class Champions(RegistryReader):
    """Decisions about versions, and the alias that moves with them."""

    @reaching
    def decide(self, version: int, decision: Decision) -> bool:
        """Writes down a decision, and makes the version champion if it is to promote.

        Returns:
            Whether it became champion; False where it was champion already: nothing is written.

        Raises:
            GateRefusal: The decision is to refuse; it is written down first.
            ChampionChanged: It was made against another champion; nothing is written.
        """
        with self._moving():
            found = self.get(version)
            if CHAMPION in found.aliases:
                return False
            if decision.promote:
                self._check_champion(decision.champion)
                self._check_standing(found)
                self._crown(version, PROMOTED, decision.reason)
                return True
            self._note(version, REFUSED, decision.reason)
        raise GateRefusal(
            f"version {version} stays challenger: {decision.reason}",
            where=self.name,
            mend="`exit-pipeline evaluate` shows every gate; `promote --force` overrides them",
        )

    @reaching
    def force(self, version: int, reason: str) -> bool:
        """Makes a version champion whatever the gates say; the reason is kept.

        Returns:
            Whether it became champion; False where it was champion already: nothing is written.
        """
        with self._moving():
            found = self.get(version)
            if CHAMPION in found.aliases:
                return False
            self._crown(version, PROMOTED, f"by hand: {reason}")
            return True

    @reaching
    def rollback(self, reason: str, to: int | None = None, leave: int | None = None) -> int:
        """Makes the champion before this one, or a given earlier one, champion again.

        The version rolled back from is withdrawn: no later decision promotes it but by force, and
        no later rollback goes to it unless it is named.

        Args:
            reason: Why; it is kept.
            to: The version that comes back; by default the newest champion before that was not
                withdrawn.
            leave: The version to roll back from; by default who is champion when this is called.

        Raises:
            RegistryError: There is no earlier champion.
            ChampionChanged: Another is champion than the one to leave; of two who go back at once
                only one does.
            UsageError: The version named is champion, or never was.
        """
        leave = self.number(CHAMPION) if leave is None else leave
        with self._moving():
            self._check_champion(leave)
            target = self.earlier() if to is None else to
            if target is None:
                raise RegistryError(
                    "there is no earlier champion that was not itself rolled back from",
                    where=self.name,
                    mend="promote a version, or name one with `--to`",
                )
            self._check_earlier(target, leave, {move["version"] for move in self.moves()})
            self._crown(target, ROLLED_BACK, reason, leave)
            return target

    def earlier(self) -> int | None:
        """The champion before this one, to which a rollback goes; None where there is none."""
        present = self.number(CHAMPION)
        stack = champion_stack(self.moves(), present)
        while stack and (stack[-1] == present or not self._may_return(stack[-1])):
            stack.pop()
        return stack[-1] if stack else None

    def _may_return(self, version: int) -> bool:
        found = self.find(version)  # None where it was deleted
        return found is not None and not found.withdrawn

    def moves(self) -> list[Move]:
        """Every time that a version became champion, oldest first."""
        moves = [entry for entry in self.history() if entry["alias"] == CHAMPION]
        return reached(moves, self.number(CHAMPION))

    @contextmanager
    def _moving(self) -> Iterator[None]:
        """One process of this home at a time looks who is champion and makes another.

        What a process that died left to do is done first.
        """
        lock = self.home.mlflow / "champion.lock"
        refusal = RegistryError(
            f"another process has been changing the champion for {LOCK_SECONDS:.0f} s",
            where=str(lock),
            mend="wait for it to end, then run again",
        )
        with exclusive(lock, LOCK_SECONDS, refusal):
            self._settle()
            yield

    def _check_champion(self, seen: int | None) -> None:
        present = self.number(CHAMPION)
        if present != seen:
            was, now = ("none" if one is None else f"version {one}" for one in (seen, present))
            raise ChampionChanged(
                f"the champion is {now}, where it was {was} when this was decided",
                where=self.name,
                mend="nothing was changed; run it again, which looks at the champion of now",
            )

    def _check_earlier(self, version: int, present: int | None, champions: set[int]) -> None:
        is_champion = present == version
        if is_champion or version not in champions:
            raise UsageError(
                f"version {version} {'is the champion' if is_champion else 'never was champion'}",
                where=f"{self.name}, --to {version}",
                mend="`exit-pipeline models` lists earlier champions; `promote` makes new ones",
            )

    def _check_standing(self, found: Version) -> None:
        if found.withdrawn:
            raise ChampionChanged(
                f"version {found.version} was rolled back from, which its gates did not know",
                where=self.name,
                mend="nothing was changed; run it again, which asks the gates anew",
            )

    def _crown(self, version: int, move: str, reason: str, left: int | None = None) -> None:
        self._alias(CHAMPION, version, move, reason, left)
        self._settle()

    def _settle(self) -> None:
        """Drops a move that never reached the alias; of one that did, writes down what it means.

        The version that was left is withdrawn last, so that none is while it serves.
        """
        found = entries("alias", self._tags())
        moves = {key: entry for key, entry in found.items() if entry["alias"] == CHAMPION}
        held = reached(list(moves.values()), self.number(CHAMPION))
        for key, entry in [*moves.items()][len(held) :]:
            if not self._is_noted(entry):  # else it did reach it, and somebody moved the alias
                self.client.delete_registered_model_tag(self.name, key)
        present = self.find(CHAMPION)
        if present is None or not held or held[-1]["version"] != present.version:
            return  # somebody moved the alias by hand
        move, reason, left = (held[-1].get(name) for name in ("move", "reason", "left"))
        if (present.decision, present.reason) != (move, reason):
            self._note(present.version, str(move), str(reason))
        if present.withdrawn:
            self.client.delete_model_version_tag(self.name, str(present.version), "withdrawn")
        if left is not None and self._may_return(left):
            self._note(left, WITHDRAWN, str(reason))
            text = reason or WITHDRAWN
            self.client.set_model_version_tag(self.name, str(left), "withdrawn", text)

    def _is_noted(self, entry: Move) -> bool:
        """Whether the version says of itself what a move made of it."""
        found = self.find(entry["version"])
        return found is not None and (found.decision, found.reason) == (
            entry["move"],
            entry.get("reason"),
        )

    def _note(self, version: int, word: str, reason: str) -> None:
        tags = self.client.get_model_version(self.name, str(version)).tags
        key, value = new_entry("decision", tags, reason, decision=word)
        self.client.set_model_version_tag(self.name, str(version), key, value)
        text = f"{word}: {shortened(reason)}"
        self.client.update_model_version(self.name, str(version), text)

    def _alias(
        self, alias: str, version: int, move: str, reason: str, left: int | None = None
    ) -> None:
        moved = {"alias": alias, "version": version, "move": move}
        moved |= {} if left is None else {"left": left}
        key, value = new_entry("alias", self._tags(), reason, **moved)
        self.client.set_registered_model_tag(self.name, key, value)
        # The alias decides: it moves after the entry, and without it the entry says nothing.
        self.client.set_registered_model_alias(self.name, alias, str(version))

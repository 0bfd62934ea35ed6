"""How large a cluster of a file may become, what that costs, and when it ends."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from famus_ray.cluster.machines import PRICES_OF

__all__ = ["Extent", "Group", "counted", "in_hours"]


@dataclass(frozen=True)
class Group:
    """Machines of one type.

    Attributes:
        what: the type's name, or what the machines are.
        least, most: how many of them.
        cpus, gpus: what Ray gives to trials on each; None if the file does not say.
        dollars: about what one costs an hour; None if that is not known.
        hours: after how many it ends itself; None if it does not.
        is_head: whether the head is on it.
    """

    what: str
    least: int
    most: int
    cpus: float | None = None
    gpus: float | None = None
    dollars: float | None = None
    hours: float | None = None
    is_head: bool = False


@dataclass(frozen=True)
class Extent:
    """What a file asks for.

    Attributes:
        groups: the machines, those of the head first.
        workers: the most machines besides the head; None for as many as the groups have.
        price: what is said in place of a price; empty if the machines are rented.
        ends: when the cluster ends without being told to, in words.
    """

    groups: Sequence[Group]
    workers: int | None = None
    price: str = ""
    ends: str = ""

    def nodes(self, *, most: bool = True) -> list[dict[str, float]] | None:
        """What trials get of each machine, by Ray's names; None if the file does not say.

        Args:
            most: of the most machines, or of the least.
        """
        if any(group.cpus is None or group.gpus is None for group in self.groups):
            return None
        heads = [group for group in self.groups if group.is_head]
        others = [group for group in self.groups if not group.is_head]
        others.sort(key=lambda group: -(group.gpus or 0))  # where not all can be there at once
        found = []
        left = self._most_workers() if most else sum(group.least for group in others)
        for group in (*heads, *others):
            many = group.most if most else group.least
            if not group.is_head:
                many = min(many, left)
                left -= many
            found += [{"CPU": group.cpus or 0.0, "GPU": group.gpus or 0.0}] * many
        return found

    def lines(self) -> Iterator[str]:
        """Machines, price and end, a line each."""
        yield f"machines: {', '.join(map(_counted, self.groups))}"
        yield f"price: {self.price or self._price()}"
        yield f"ends: {self.ends}"

    def _price(self) -> str:
        unknown = [group.what for group in self.groups if group.dollars is None]
        if unknown:
            return f"unknown, for {', '.join(unknown)}; look at the provider's list"
        least = sum((group.dollars or 0) * group.least for group in self.groups)
        most, whole = self._most_expensive()
        hourly = f"${most:.2f}" if least == most else f"${least:.2f} to ${most:.2f}"
        in_all = "no most in all" if whole is None else f"at most ${math.ceil(whole):,} in all"
        guide = f"list prices of {PRICES_OF}: a guide, not a quote"
        return f"about {hourly} an hour, {in_all}, without disks and traffic ({guide})"

    def _most_expensive(self) -> tuple[float, float | None]:
        """Dollars an hour with the most machines, and in all; None without an end of each.

        A worker that starts as the head ends lives for its own hours after that.
        """
        head = next((group.hours for group in self.groups if group.is_head), None)
        hourly, whole, left = 0.0, 0.0, self._most_workers()
        endless = head is None
        for group in sorted(self.groups, key=lambda group: -(group.dollars or 0)):
            many = group.most if group.is_head else min(group.most, left)
            left -= 0 if group.is_head else many
            hourly += (price := many * (group.dollars or 0))
            endless = endless or (group.hours is None and many > 0)
            whole += price * ((head or 0) + (0 if group.is_head else group.hours or 0))
        return hourly, None if endless else whole

    def _most_workers(self) -> int:
        most = sum(group.most for group in self.groups if not group.is_head)
        return most if self.workers is None else min(most, self.workers)


def counted(number: float, what: str) -> str:
    """A number with its noun, such as `1 GPU` or `8 CPUs`."""
    return f"{number:g} {what}" if number == 1 else f"{number:g} {what}s"


def in_hours(minutes: float) -> str:
    """A time in words, such as `24 hours` or `90 minutes`."""
    return counted(minutes, "minute") if minutes % 60 else counted(minutes / 60, "hour")


def _counted(group: Group) -> str:
    many = f"{group.most}" if group.least == group.most else f"{group.least} to {group.most}"
    notes = ["the head"] if group.is_head else []
    if group.cpus == 0:
        notes.append("no trials")
    elif group.cpus is not None:
        gpus = f" and {counted(group.gpus, 'GPU')}" if group.gpus else ""
        notes.append(f"{counted(group.cpus, 'CPU')}{gpus}{' each' if group.most > 1 else ''}")
    return f"{many} {group.what}" + (f" ({', '.join(notes)})" if notes else "")

"""What the review pages show: filters over the queue, and the values that the templates need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader

from cluster.review.desk import Desk, Entry, Written
from optimize_workers.library.reviews import Decision, Review

MAX_SHOWN_CHARS = 4_000  # of a document, before "show all"
STATES = {**{str(decision): str(decision).replace("_", " ") for decision in Decision}, "explained": "explained"}


class Filter(NamedTuple):
    """A way to narrow the queue: the name in the URL, its label, the values that occur."""

    name: str
    label: str
    values: tuple[str, ...]


class Pages:
    """The pages of one desk, as HTML; every text in them is escaped by the templates."""

    def __init__(self, desk: Desk, form_token: str) -> None:
        self._desk = desk
        self._form_token = form_token
        self._environment = Environment(loader=PackageLoader("cluster.review"), autoescape=True)
        self.filters = _filters(desk.entries)

    def chosen(self, asked: Mapping[str, str]) -> dict[str, str]:
        """The filters of a URL that are known here."""
        return {f.name: asked[f.name] for f in self.filters if asked.get(f.name) in f.values}

    def shown(self, chosen: Mapping[str, str], reviews: Mapping[Any, Review]) -> list[Entry]:
        """The entries that pass all chosen filters."""
        return [
            entry
            for entry in self._desk.entries
            if all(value in _facets(entry, reviews.get(entry.key, Review()))[name] for name, value in chosen.items())
        ]

    def queue(self, chosen: Mapping[str, str]) -> str:
        """The queue as a table."""
        reviews = self._desk.reviews()
        rows = [(entry, reviews.get(entry.key, Review())) for entry in self.shown(chosen, reviews)]
        return self._render("queue.html", chosen, rows=rows, filters=self.filters)

    def pair(
        self,
        number: int,
        chosen: Mapping[str, str],
        *,
        is_whole: bool,
        refused: str = "",
        written: Written | None = None,
        is_changed: bool = False,
    ) -> str:
        """One pair with its form.

        Args:
            number: of the entry.
            chosen: filters, for the way on.
            is_whole: whether a long document is shown to its end.
            refused: why an action was refused.
            written: texts of that action; they stay in the form.
            is_changed: whether the pair changed since it was shown; the page then shows what is stored, so that the
                next action is about that.
        """
        entry = self._desk.entries[number]
        reviews = self._desk.reviews()
        review = reviews.get(entry.key, Review())
        around = [other.number for other in self.shown(chosen, reviews)]
        document = entry.example.item.document
        stored = Written(review.explanation, review.bullet, _last_number(review))
        if written is None:
            written = stored
        elif is_changed:
            written = written._replace(seen=stored.seen)
        return self._render(
            "pair.html",
            chosen,
            entry=entry,
            review=review,
            written=written,
            is_changed=is_changed,
            refused=refused,
            refusal=self._desk.refusal(review.bullet),
            document=document if is_whole else document[:MAX_SHOWN_CHARS],
            num_hidden=0 if is_whole else max(0, len(document) - MAX_SHOWN_CHARS),
            before=max((n for n in around if n < number), default=None),
            after=self.after(number, around),
            position=sum(n <= number for n in around),
            num_shown=len(around),
        )

    def bias(self) -> str:
        """The bias summaries."""
        return self._render("bias.html", {}, tables=self._desk.bias)

    @staticmethod
    def after(number: int, around: Sequence[int]) -> int | None:
        """The next entry among those shown."""
        return min((n for n in around if n > number), default=None)

    def _render(self, template: str, chosen: Mapping[str, str], **values: Any) -> str:
        reviews = self._desk.reviews()
        num_decided = sum(review.decision is not Decision.OPEN for review in reviews.values())
        return self._environment.get_template(template).render(
            desk=self._desk,
            query=f"?{urlencode(chosen)}" if chosen else "",
            chosen=chosen,
            form_token=self._form_token,
            num_decided=num_decided,
            is_begun=bool(reviews),
            states=STATES,
            **values,
        )


def _last_number(review: Review) -> int:
    return review.events[-1].number if review.events else 0


def _facets(entry: Entry, review: Review) -> dict[str, tuple[str, ...]]:
    """What an entry is, by the names of the filters."""
    compared = entry.compared
    state = ("explained",) if review.explanation and review.decision is Decision.OPEN else ()
    return {
        "state": (str(review.decision), *state),
        "direction": (compared.direction,),
        "grade": (str(compared.grade),),
        "theme": (compared.theme,),
        "length": (compared.length,),
        "split": (entry.example.split,),
        "label": ("suspected",) if entry.doubts else ("not suspected",),
    }


def _filters(entries: Sequence[Entry]) -> list[Filter]:
    facets = [_facets(entry, Review()) for entry in entries]
    names = {"direction": "judge is", "grade": "human rating", "theme": "theme of the query", "length": "document"}
    names |= {"split": "split", "label": "label"}
    found = [Filter("state", "state", tuple(STATES))]
    for name, label in names.items():
        values = tuple(dict.fromkeys(sorted(value for facet in facets for value in facet[name])))
        if len(values) > 1:
            found.append(Filter(name, label, values))
    return found

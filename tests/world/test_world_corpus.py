"""The embedded corpus: fixed, invented, its values are what its texts say."""

import hashlib
import re
from importlib import resources

from sport.world import corpus


def test_the_articles_are_the_ones_that_search_is_versioned_by() -> None:
    """Whoever changes the articles gives the tool another version: its answers are cached by it."""
    data = (resources.files("sport") / "corpus" / "articles.jsonl").read_bytes()
    assert hashlib.sha256(data).hexdigest()[:16] == "26648b03ef01dde2"


def test_there_are_120_with_different_titles() -> None:
    assert len({article.title for article in corpus.articles()}) == len(corpus.articles()) == 120


def test_a_value_is_the_number_that_the_text_tells() -> None:
    for article in corpus.articles():
        told = [float(n) for n in re.findall(r"\d+(?:\.\d+)?", article.text)]
        if article.kind == "museum":
            told = [told[0] * 60 + told[1]]
        assert article.value is None or told == [article.value], article


def test_values_of_a_kind_differ_so_that_another_articles_value_is_a_wrong_answer() -> None:
    for kind in ("town", "currency", "road", "museum", "material"):
        values = corpus.values(kind).values()
        assert len(set(values)) == len(values)


def test_every_hub_has_roads_to_enough_towns_for_a_timetable() -> None:
    towns = corpus.values("town")
    for hub in corpus.hubs():
        assert len(corpus.reached(hub)) >= 7
        assert set(corpus.reached(hub)) < set(towns)

"""``search`` finds an article by its words, and only ranks."""

import json

import pytest

from sport.errors import ToolError
from sport.tools.cache import MemoryCache
from sport.tools.entry import builtin
from sport.tools.search import Search
from sport.tools.toolbox import Toolbox


@pytest.fixture(scope="module")
def search():
    return Search()


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("daily limit of iron", "Iron"),
        ("How many people live in Bostow?", "Bostow"),
        ("road from Arlen to Hovik", "Arlen to Hovik"),
        ("crown in velmar", "Velmar"),
        ("museum of Gelten", "Museum of Gelten"),
        ("weights of redclay, a litre", "Redclay"),
    ],
)
def test_the_best_fit_comes_first(search, query, title):
    assert search.call(query).startswith(f"{title}: ")


def test_at_most_three_one_a_line(search):
    assert len(search.call("town").splitlines()) == 3


def test_nothing_fits_nothing_is_returned(search):
    assert search.call("zeppelin") == ""


@pytest.mark.parametrize("query", ['"', "", "  ?! ", "***"])
def test_a_query_without_a_word_is_refused(search, query):
    with pytest.raises(ToolError, match="few words"):
        search.call(query)


@pytest.mark.parametrize("query", ['iron" OR', "title:iron", "iron NEAR(salt)", "NOT iron", "iron*", "{iron} - ^salt"])
def test_operators_are_words_like_others(search, query):
    assert "Iron: " in search.call(query)


def test_other_articles_by_option(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"title": "Moss", "text": "It is green."}) + "\n", encoding="utf-8")
    assert Search(str(file)).call("green") == "Moss: It is green."


async def test_it_works_in_a_worker():
    box = Toolbox(builtin(("search",)), workers=1, deadline_s=20.0, memory_mb=1024, cache=MemoryCache())
    try:
        answer = await box.call("search", {"query": "kesh"})
    finally:
        await box.stop()
    assert answer.value.startswith("Kesh: Money of")

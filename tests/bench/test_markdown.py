"""A benchmark's table: what stands in it, and that it stays one whatever a model is called."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.bench.columns import columns_of, table_of
from stillhouse.bench.compare import compare
from stillhouse.bench.document import BenchDocument, parse_document
from stillhouse.bench.figures import percent, seconds, three_figures
from stillhouse.bench.markdown import bench_markdown, comparison_markdown
from stillhouse.bench.records import Cell
from tests.bench import examples
from tests.bench.examples import cell


def document(*cells: Cell, **changes: object) -> BenchDocument:
    return parse_document(examples.text(*cells, **changes), "run.json")


def headings(*cells: Cell) -> list[str]:
    return [column.heading for column in columns_of(cells)]


def row(*cells: Cell) -> dict[str, str]:
    """Of the last cell."""
    columns, rows = table_of(cells)
    return dict(zip([column.heading for column in columns], rows[-1], strict=True))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.01234, "0.0123"),
        (3, "3.00"),
        (99.94, "99.9"),
        (99.96, "100"),
        (12345, "12,345"),
    ],
)
def test_three_figures_are_shown_and_whole_numbers_are_kept(value: float, text: str) -> None:
    assert three_figures(value) == text


def test_seconds_and_shares_carry_their_units() -> None:
    assert [seconds(value) for value in (0, 0.0123, 0.9996, 75)] == [
        "0 ms", "12.3 ms", "1.00 s", "75.0 s",
    ]  # fmt: skip
    assert percent(0.0413) == "4.13 %"


def test_a_cell_is_a_row_of_its_figures() -> None:
    whole = cell(failed=1, roofline_share=0.512, speedup=2.5, looped_share=0.0)
    found = row(whole)
    assert found["users"] == "4"
    assert found["errors"] == "1"
    assert found["peak memory"] == "512 MB"
    assert found["of roofline"] == "51.2 %"
    assert found["speed-up"] == "2.50x"
    assert found["goodput req/s"].endswith(" (97.9 %)")
    assert found["looped"] == "0 %"
    assert whole.ttft_s is not None
    assert found["TTFT p50"] == seconds(whole.ttft_s.p50)
    assert found["TTFT p95"] == seconds(whole.ttft_s.p95)


def test_what_is_not_available_is_a_dash_in_a_column_of_its_own() -> None:
    unknown = cell(peak_memory_bytes=None, roofline_share=None, ttft_s=None)
    found = row(unknown)
    assert found["peak memory"] == found["of roofline"] == found["TTFT p50"] == "–"


def test_columns_that_say_nothing_are_left_out() -> None:
    closed = headings(cell())
    assert "users" in closed
    assert "req/s offered" not in closed
    assert "truncated" not in closed  # lengths are fixed
    opened = headings(cell(users=None, rate_per_s=2.0))
    assert "req/s offered" in opened
    assert "users" not in opened
    both = headings(cell(), cell(users=None, rate_per_s=2.0))
    assert {"users", "req/s offered"} <= set(both)
    assert "workload" not in closed
    assert "workload" in headings(cell(), replace(cell(), workload="chat"))


def test_the_page_has_machine_load_rows_and_notes() -> None:
    page = bench_markdown(document(cell(), cell(users=1, requests=4), notes=["a note"]))
    above, table, below = page.rstrip("\n").split("\n\n")
    for part in ("A Processor", "Stillhouse 0.5.0 at 0123456", "short", "128 tokens", "TTFT"):
        assert part.lower() in above.lower()
    assert len(table.splitlines()) == 2 + 2
    assert below == "- a note"


def test_every_line_of_a_table_has_as_many_cells_whatever_a_model_is_called() -> None:
    hostile = cell(model="a|b\nc`*", quantization=None)
    table = bench_markdown(document(hostile, cell())).split("\n\n")[1].splitlines()
    bars = {line.replace("\\|", "").count("|") for line in table}
    assert len(table) == 4
    assert len(bars) == 1
    assert "a\\|b c\\`\\*" in table[2]


def test_numbers_are_flush_right_and_names_are_not() -> None:
    rule = bench_markdown(document(cell())).split("\n\n")[1].splitlines()[1]
    assert rule.startswith("| :--- | :--- | ---: |")


def test_a_stopped_cell_is_told_of() -> None:
    assert "4 users: stopped" in bench_markdown(document(cell(is_complete=False)))


def test_a_run_without_cells_is_a_page_without_a_table() -> None:
    assert "|" not in bench_markdown(document())


def test_a_comparison_has_a_table_for_each_cell_and_lists_the_rest() -> None:
    a, b = document(cell(), cell(users=1)), document(cell(seed=1, speed=0.8))
    page = comparison_markdown(compare(a, b), ("a.json", a), ("b.json", b))
    assert page.startswith("- A: a.json: Stillhouse 0.5.0")
    assert "| E2E p50 | 2" in page
    assert "worse, by more than 5 %" in page
    assert "only in A: " in page

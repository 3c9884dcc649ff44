import logging

import pytest
from rich.table import Table

from raytrain.messages import counted, logging_console


def test_each_line_is_a_record_and_blank_ones_are_none(caplog):
    caplog.set_level(logging.INFO, "raytrain")
    console = logging_console()
    console.print("3,387 rows", "", "two folds", sep="\n", highlight=False)
    table = Table("fold", box=None)
    table.add_row("r0-fold-00")
    console.print(table)
    assert [record.getMessage().strip() for record in caplog.records] == [
        *("3,387 rows", "two folds", "fold", "r0-fold-00")
    ]
    assert not console.is_terminal and console.width == 120


@pytest.mark.parametrize(
    ("number", "what", "said"),
    [(1, "row", "1 row"), (0, "row", "0 rows"), (1200, "text", "1,200 texts"), (2, "query", "2 queries")],
)
def test_what_is_counted_is_said_of_one_and_of_many(number, what, said):
    assert counted(number, what) == said

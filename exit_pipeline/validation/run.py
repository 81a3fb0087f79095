"""Runs a suite over a table's files and says what failed, with example rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import great_expectations as gx
import sqlalchemy as sa
from great_expectations import expectations
from great_expectations.core import ExpectationSuite, ValidationDefinition
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.exceptions import GreatExpectationsError

from exit_pipeline.errors import ExitPipelineError, ValidationRunError
from exit_pipeline.lake.duck import quoted, render, spill_folder
from exit_pipeline.settings import Home, Settings
from exit_pipeline.validation.docs import write_docs
from exit_pipeline.validation.engine import DuckDBExecutionEngine, in_memory_engine
from exit_pipeline.validation.report import Outcome, ValidationReport
from exit_pipeline.validation.suites import Rule

EXAMPLES = 5
KEYS = ("event_id", "item_id", "user_id", "unit")


def validate(
    table: str,
    files: Sequence[str],
    partitions: Sequence[str],
    rules: Sequence[Rule],
    settings: Settings,
    home: Home,
    *,
    docs: bool = True,
) -> ValidationReport:
    """Runs rules over Parquet files, in DuckDB, and writes Data Docs.

    Args:
        table: The table's name.
        files: Its files; without any there are no rows to break a rule.
        partitions: Columns that are in the files' paths.
        rules: From `rules_for`.
        settings: Memory limit and threads.
        home: Gets `reports/data_docs`.
        docs: Whether it does.

    Raises:
        ValidationRunError: A rule could not be run; that says nothing about the data.
    """
    if not files:
        return ValidationReport(table, 0, [_without_rows(rule) for rule in rules], "")
    spill = spill_folder(home.spill)
    engine = in_memory_engine(settings.memory_limit, settings.threads, spill)
    try:
        rows, names = _make_view(engine, table, files, partitions)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        found = _run(context, engine, table, rules)
        again = [i for i, one in found.items() if not one.success and _column(rules[i])]
        examples = _examples(engine, table, [rules[i] for i in again], names) if again else []
        by_rule = dict(zip(again, examples, strict=True))
        outcomes = [_outcome(rules[i], found[i], by_rule.get(i, [])) for i in sorted(found)]
        page, why = _docs(context, table, home) if docs else ("", "")
        return ValidationReport(table, rows, outcomes, page, why)
    finally:
        engine.engine.dispose()


def _docs(context: Any, table: str, home: Home) -> tuple[str, str]:
    """Writes Data Docs; returns the page, or why there is none: the verdict holds all the same."""
    try:
        return write_docs(context, table, home), ""
    except (OSError, GreatExpectationsError, ExitPipelineError) as error:
        return "", f"{type(error).__name__}: {error}"


def _make_view(
    engine: DuckDBExecutionEngine, table: str, files: Sequence[str], partitions: Sequence[str]
) -> tuple[int, list[str]]:
    """Makes a view over the files; returns its number of rows and its columns."""
    scan = render("_files", files=files, partitions=partitions)
    try:
        with engine.get_connection() as connection:
            connection.exec_driver_sql("load icu")
            connection.exec_driver_sql("set enable_progress_bar = false")
            connection.exec_driver_sql("set TimeZone = 'UTC'")
            connection.exec_driver_sql(f"create view {quoted(table)} as {scan}")
            count = connection.exec_driver_sql(f"select count(*) from {quoted(table)}").scalar_one()
            described = connection.exec_driver_sql(f"describe {quoted(table)}").fetchall()
            connection.commit()  # so that the other connections of GX see the view
            return int(count), [str(row[0]) for row in described]
    except sa.exc.SQLAlchemyError as error:
        raise ValidationRunError(
            f"the files of {table!r} cannot be read: {error.__cause__ or error}",
            where=table,
            mend="materialize the table again",
        ) from error


def _run(
    context: Any,
    engine: DuckDBExecutionEngine,
    table: str,
    rules: Sequence[Rule],
    key: str | None = None,
) -> dict[int, Any]:
    """Runs the rules; returns GX's result of each by its number.

    Raises:
        ValidationRunError: A rule raised instead of answering.
    """
    source = context.data_sources.add_duckdb(
        name=f"lake {key or ''}".strip(), connection_string="duckdb:///:memory:"
    )
    source.use(engine)
    asset = source.add_table_asset(name=table, table_name=table)
    name = f"{table} by {key}" if key else table
    suite = context.suites.add(ExpectationSuite(name=name))
    for number, rule in enumerate(rules):
        kind = getattr(expectations, rule.expectation)
        suite.add_expectation(kind(**rule.options, meta={"rule": number, "why": rule.why}))
    definition = context.validation_definitions.add(
        ValidationDefinition(
            name=name, data=asset.add_batch_definition_whole_table("all"), suite=suite
        )
    )
    form: dict[str, Any] = {"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES}
    if key:
        form["unexpected_index_column_names"] = [key]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = definition.run(result_format=form).results
    found = {result.expectation_config.meta["rule"]: result for result in results}
    for number, result in found.items():
        _raise_if_not_run(table, rules[number], result.exception_info)
    return found


def _raise_if_not_run(table: str, rule: Rule, info: dict[str, Any]) -> None:
    parts = [info] if "raised_exception" in info else list(info.values())
    for part in parts:
        if part.get("raised_exception"):
            raise ValidationRunError(
                f'"{rule.why}" could not be checked: {part.get("exception_message")}',
                where=f"{table}: {rule.expectation}",
                mend="this says nothing about the data; check that the column is there",
            )


def _examples(
    engine: DuckDBExecutionEngine, table: str, rules: list[Rule], names: list[str]
) -> list[list[str]]:
    """Rows that break each rule, by the table's first column that names rows."""
    key = next((name for name in KEYS if name in names), names[0])
    found = _run(gx.get_context(mode="ephemeral"), engine, table, rules, key)
    lists = [found[i].result.get("partial_unexpected_index_list") or [] for i in sorted(found)]
    return [[", ".join(f"{k}={v}" for k, v in row.items()) for row in one] for one in lists]


def _outcome(rule: Rule, result: Any, examples: list[str]) -> Outcome:
    observed = result.result.get("observed_value", "")
    unexpected = int(result.result.get("unexpected_count") or 0)
    return Outcome(
        rule.why, _column(rule), bool(result.success), str(observed), unexpected, examples
    )


def _without_rows(rule: Rule) -> Outcome:
    needs_rows = rule.expectation == "ExpectTableRowCountToBeBetween"
    return Outcome(rule.why, _column(rule), not needs_rows, "no rows", 0, [])


def _column(rule: Rule) -> str:
    return rule.options.get("column", "")

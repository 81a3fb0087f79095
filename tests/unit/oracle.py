"""The label rules of docs/labels.md, as slow and as obvious as can be: loops over lists."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import exp, log, log2

import numpy as np

HOURS = timedelta(hours=1)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


class Oracle:
    """Labels of a log.

    Args:
        spec: The profile.
        events: Rows with `known_on`, without repeats.
        items: Rows of item attributes.
        users: Rows of user attributes.
    """

    def __init__(self, spec, events, items, users):
        self.spec, self.events, self.items, self.users = spec, events, items, users
        self.histories, self.fits = {}, {}

    def attribute(self, rows, key, value, name, ts):
        valid = [r for r in rows if r[key] == value and r["valid_from"] <= ts]
        return max(valid, key=lambda r: r["valid_from"])[name] if valid else None

    def unit(self, e):
        if self.spec.interest_unit == "item_id":
            return e["item_id"]
        return self.attribute(self.items, "item_id", e["item_id"], self.spec.interest_unit, e["ts"])

    def band(self, e):
        hour = e["ts"].hour
        return [name for name, start in self.spec.scene.hour_bands.items() if start <= hour][-1]

    def column(self, e, name):
        if name == "hour_band":
            return self.band(e)
        if name == "day_kind":
            return "weekend" if e["ts"].weekday() >= 5 else "weekday"
        if name in self.spec.users:
            return self.attribute(self.users, "user_id", e["user_id"], name, e["ts"]) or "unknown"
        return e[name] or "unknown"

    def composite(self, e, columns):
        return "|".join(self.column(e, name) for name in columns)

    def outcomes(self, known):
        """event_id of an exposure -> set of event types, and the sum of order values in cents."""
        exposures = [
            e for e in known if e["domain"] == self.spec.target and e["event_type"] == "impression"
        ]
        window = self.spec.labels.attribution_hours * HOURS
        found = {e["event_id"]: (set(), 0) for e in exposures}
        for o in known:
            if o["domain"] != self.spec.target or o["event_type"] == "impression":
                continue
            fitting = [
                e
                for e in exposures
                if (e["user_id"], e["item_id"]) == (o["user_id"], o["item_id"])
                and e["ts"] <= o["ts"] < e["ts"] + window
            ]
            named = [
                e
                for e in fitting
                if o["request_id"] is not None and e["request_id"] == o["request_id"]
            ]
            fitting = named or fitting
            if fitting:
                winner = max(fitting, key=lambda e: (e["ts"], e["event_id"]))["event_id"]
                kinds, cents = found[winner]
                if o["event_type"] == "order":
                    cents += round((o["value"] or 0) * 100)
                found[winner] = (kinds | {o["event_type"]}, cents)
        return found

    def y(self, kinds):
        wanted = {"click": {"click"}, "order": {"order"}, "either": {"click", "order"}}
        return int(bool(kinds & wanted[self.spec.outcome]))

    def shown(self, known, user, unit, source, start, end):
        """Source events of one unit in [start, end)."""
        return [
            s
            for s in known
            if s["user_id"] == user
            and s["domain"] == source
            and s["event_type"] in self.spec.source_interest
            and start <= s["ts"] < end
            and unit is not None
            and self.unit(s) == unit
        ]

    def rows(self, known):
        """Every exposure with outcome, source interest and own earlier response."""
        labels, outcomes, rows = self.spec.labels, self.outcomes(known), []
        own_reach = timedelta(days=labels.consistency.own_response_days)
        for e in known:
            if e["event_id"] not in outcomes:
                continue
            kinds, cents = outcomes[e["event_id"]]
            row = {**e, "unit": self.unit(e), "kinds": kinds, "cents": cents, "y": self.y(kinds)}
            row["cell"] = self.composite(e, self.spec.group)
            row["scene"] = self.composite(e, self.spec.scene.columns)
            for k in self.spec.sources:
                w, h = labels.interest_hours * HOURS, labels.ahead_hours * HOURS
                row["before", k] = self.shown(
                    known, e["user_id"], row["unit"], k, e["ts"] - w, e["ts"]
                )
                row["ahead", k] = self.shown(
                    known, e["user_id"], row["unit"], k, e["ts"], e["ts"] + h
                )
            rows.append(row)
        for row in rows:
            mature = timedelta(days=labels.maturity_days)
            earlier = [
                r
                for r in rows
                if r["user_id"] == row["user_id"]
                and r["unit"] == row["unit"]
                and row["ts"] - own_reach <= r["ts"] < row["ts"] - mature
            ]
            n, c = len(earlier), sum(r["y"] for r in earlier)
            row["own"] = n, c
            row["band"] = 4 if c >= 2 else 3 if c == 1 else 2 if n == 0 else 1 if n < 5 else 0
        return rows

    def history(self, day):
        """Exposures with their outcome, as known on the morning of `day`."""
        if day not in self.histories:
            known = [e for e in self.events if e["known_on"] < day]
            self.histories[day] = [
                r
                for r in self.rows(known)
                if r["ts"].date() + timedelta(days=self.spec.labels.maturity_days) <= day
                and r["unit"] is not None
            ]
        return self.histories[day]

    def quiet(self, day):
        """Of those, the exposures without interest in any source."""
        sources = self.spec.sources
        return [r for r in self.history(day) if not any(r["before", k] for k in sources)]

    def facts(self, row):
        """What the regression knows of an exposure."""
        unit = [r for r in self.quiet(row["ts"].date()) if r["unit"] == row["unit"]]
        cell = [r for r in unit if r["cell"] == row["cell"]]
        r_unit = (sum(r["y"] for r in unit) + 1) / (len(unit) + 20)
        rate = (sum(r["y"] for r in cell) + 100 * r_unit) / (len(cell) + 100)
        odds = round(10 * log(rate / (1 - rate))) / 10
        shown, responses = row["own"]
        own = log(20 + responses * (1 + exp(-odds))) - log(20 + shown)
        return np.array([1, odds, own, log(1 + shown)])

    def fit(self, day):
        """The regression of `day`, by steps that are sure to rise (Böhning and Lindsay 1988)."""
        if day not in self.fits:
            rows = self.quiet(day)
            x = np.array([self.facts(r) for r in rows]).reshape(-1, 4)
            y, prior = np.array([r["y"] for r in rows]), np.array([0, 1, 0, 0])
            beta, bound = prior.astype(float), x.T @ x / 4 + np.eye(4)
            for _ in range(2000):
                slope = x.T @ (y - 1 / (1 + np.exp(-x @ beta))) - (beta - prior)
                beta = beta + np.linalg.solve(bound, slope)
            self.fits[day] = beta
        return self.fits[day]

    def regressed(self, row):
        """What was expected of an exposure, in whole millionths."""
        z = self.facts(row) @ self.fit(row["ts"].date())
        return round(1e6 / (1 + exp(-z))) / 1e6

    def consistency(self, day):
        """(unit, cell, source) -> support, lift_raw, lift, a: as known on the morning of `day`."""
        history, stats = self.history(day), {}
        for k in self.spec.sources:
            for unit, cell in {(r["unit"], r["cell"]) for r in history}:
                stats[unit, cell, k] = self.group(
                    [r for r in history if r["unit"] == unit], cell, k
                )
        return stats

    def group(self, unit_rows, cell, k):
        def count(rows, shown=None):
            rows = [r for r in rows if shown is None or bool(r["before", k]) == shown]
            return len(rows), sum(r["y"] for r in rows)

        def expectation(rows, cell_rows):
            if self.spec.labels.consistency.expectation == "regression":
                return sum(self.regressed(r) for r in cell_rows if r["before", k])
            total = 0.0
            for band in range(5):
                n0b, c0b = count([r for r in rows if r["band"] == band], False)
                here = [r for r in cell_rows if r["band"] == band]
                n0, c0 = count(here, False)
                r_band = (c0b + 20 * r_unit) / (n0b + 20)
                total += count(here, True)[0] * (c0 + 100 * r_band) / (n0 + 100)
            return total

        cell_rows = [r for r in unit_rows if r["cell"] == cell]
        big_n0, big_c0 = count(unit_rows, False)
        big_n1, big_c1 = count(unit_rows, True)
        n0, c0 = count(cell_rows, False)
        n1, c1 = count(cell_rows, True)
        r_unit = (big_c0 + 1) / (big_n0 + 20)
        r_group = (c0 + 100 * r_unit) / (n0 + 100)
        unit_lift = (big_c1 + 5) / (big_n1 * r_unit + 5)
        lift_raw = (c1 + 3 * unit_lift) / (n1 * r_group + 3)
        cells = sorted({r["cell"] for r in unit_rows})
        whole = sum(expectation(unit_rows, [r for r in unit_rows if r["cell"] == c]) for c in cells)
        own = expectation(unit_rows, cell_rows)
        lift = (c1 + 3 * (big_c1 + 5) / (whole + 5)) / (own + 3)
        return {
            "support": n1,
            "lift_raw": lift_raw,
            "lift": lift,
            "a": self.carries(unit_rows, cell_rows, n1, lift_raw, lift),
        }

    def carries(self, unit_rows, cell_rows, n1, lift_raw, lift):
        rule = self.spec.labels.consistency
        n, c = len(cell_rows), sum(r["y"] for r in cell_rows)
        r = Fraction(sum(row["y"] for row in unit_rows), len(unit_rows))
        if rule.definition == "rate":
            return float(n >= rule.min_rate_support and (c + 100 * r) / (n + 100) >= r)
        if rule.definition == "soft":
            return max(0.0, min(1.0, log2(lift)))
        value = lift_raw if rule.definition == "lift_raw" else lift
        return float(value >= rule.least_lift and n1 >= rule.min_support)

    def labels(self, first, last):
        """The label table for the days `first`…`last`, keyed by event_id."""
        table = {}
        by_day = {}
        for row in self.rows(self.events):
            day = row["ts"].date()
            if not first <= day <= last:
                continue
            stats = by_day.setdefault(day, None) or self.consistency(day)
            by_day[day] = stats
            table[row["event_id"]] = self.label(row, stats)
        return table

    def label(self, row, stats):
        kinds = row["kinds"]
        label = {
            "ds": row["ts"].date(),
            "event_id": row["event_id"],
            "request_id": row["request_id"],
            "user_id": row["user_id"],
            "item_id": row["item_id"],
            "ts": row["ts"],
            "unit": row["unit"],
            "scene": row["scene"],
            "y": row["y"],
            "value": row["cents"],
            "segment": self.attribute(
                self.users, "user_id", row["user_id"], self.spec.segment, row["ts"]
            )
            if self.spec.segment
            else None,
            "mature_on": row["ts"].date() + timedelta(days=self.spec.labels.maturity_days),
        }
        for kind in ("click", "order", "negative"):
            label[f"y_{kind}"] = int(kind in kinds)
        for k in self.spec.sources:
            before = row["before", k]
            none = {"support": 0, "lift_raw": None, "lift": None, "a": 0.0}
            group = stats.get((row["unit"], row["cell"], k), none)
            label |= {
                f"ys_{k}": int(bool(before)),
                f"ahead_{k}": int(bool(row["ahead", k])),
                f"count_{k}": len(before),
                f"order_count_{k}": sum(s["event_type"] == "order" for s in before),
                f"last_ts_{k}": max((s["ts"] for s in before), default=None),
                f"support_{k}": group["support"],
                f"lift_raw_{k}": group["lift_raw"],
                f"lift_{k}": group["lift"],
                f"consistent_{k}": group["a"],
                f"icl_{k}": row["y"] + bool(before) * group["a"],
            }
        label["icl"] = max(label[f"icl_{k}"] for k in self.spec.sources)
        return label

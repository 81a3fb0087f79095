"""What scoring does between its products, compiled: each loop passes over the rows once.

The formulas are those of `model/exit.py` in its words. `largest_gap` compares every version that is
to be promoted with its model, and tests compare all forms.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from exit_pipeline.model.exit import MARGIN

ZERO, ONE = np.float32(0), np.float32(1)
# Sums may be taken in another order, so that they fill vectors; NaN stays NaN. Each process that
# ranks compiles in two seconds: numba would keep compiled code in pickled files.
compiled: Any = njit(nogil=True, fastmath={"reassoc", "contract"})


@compiled
def add_curves(numbers, low, scale, table, part, out):
    """Adds to `out` what numbers add, read off running sums (see `Curves`).

    Args:
        numbers: float32[n, j], NaN unknown.
        low: float32[j, bins], where bins begin.
        scale: float32[j, bins], one over their widths.
        table: float32[j, bins + 2, F], what unknown adds, then what 0, 1, … full bins do.
        part: int64[j], the part of `out` that each adds to.
        out: float32[n, parts, F].
    """
    bins = low.shape[1]
    for i in range(len(numbers)):
        for j in range(len(low)):
            x, to = numbers[i, j], out[i, part[j]]
            if math.isnan(x):
                first, second, rest = table[j, 0], table[j, 0], ZERO
            else:
                filled = ZERO
                for b in range(bins):
                    # Where a bin has no width, ∞ · 0 is NaN, and NaN is less than nothing.
                    share = (x - low[j, b]) * scale[j, b]
                    filled += min(share, ONE) if share > ZERO else ZERO
                full = min(int(filled), bins - 1)
                first, second = table[j, full + 1], table[j, full + 2]
                rest = filled - np.float32(full)
            for f in range(len(to)):
                to[f] += first[f] + rest * (second[f] - first[f])


@compiled
def add_rows(table, rows, out):
    """Adds to float32[n, F] the rows int64[n, c] of float32[N, F]."""
    for i in range(len(rows)):
        to = out[i]
        for c in range(rows.shape[1]):
            word = table[rows[i, c]]
            for f in range(len(to)):
                to[f] += word[f]


@compiled
def first_layer(items, rows, base, slot, begin, out):
    """Fills float32[n, w] with a net's first layer after its ReLU.

    Args:
        items: float32[N, F], what items add.
        rows: int64[n], which item each row is about.
        base: float32[u, F], what all else adds, by unit.
        slot: int64[n], which unit.
        begin: Where the net's part of F begins.
        out: Gets it.
    """
    end = begin + out.shape[1]
    for i in range(len(rows)):
        item, other, to = items[rows[i], begin:end], base[slot[i], begin:end], out[i]
        for f in range(len(to)):
            to[f] = max(item[f] + other[f], ZERO)


@compiled
def trunk(items, rows, base, slot, place, spread, share, out):
    """Fills float32[m, n, w] with the target's first layer, sources seen to their share.

    Args:
        items: As above; the target's part of F is the first.
        rows: As above.
        base: As above.
        slot: As above.
        place: int64[u], where in `spread` a unit stands; −1 where it sees all.
        spread: float32[g, K, m · w], see `Units`.
        share: float32[n, K].
        out: Gets it.
    """
    members, n, width = out.shape
    for i in range(n):
        at = place[slot[i]]
        for m in range(members):
            begin, end, to = m * width, (m + 1) * width, out[m, i]
            item, other = items[rows[i], begin:end], base[slot[i], begin:end]
            for f in range(width):
                to[f] = item[f] + other[f]
            if at >= 0:
                for k in range(share.shape[1]):
                    less, of = share[i, k] - ONE, spread[at, k, begin:end]
                    for f in range(width):
                        to[f] += less * of[f]
            for f in range(width):
                to[f] = max(to[f], ZERO)


@compiled
def heads(h, inner, weight, bias, out):
    """Fills float32[n, o] with the sums over members of ReLU(h + inner) · weight, and the bias.

    Args:
        h: float32[m, n, w], the products of the layer before.
        inner: float32[m, w], that layer's bias.
        weight: float32[m, o, w].
        bias: float32[o].
        out: Gets it.
    """
    members, n, width = h.shape
    for i in range(n):
        for o in range(len(bias)):
            total = bias[o]
            for m in range(members):
                x, b, w = h[m, i], inner[m], weight[m, o]
                for f in range(width):
                    total += max(x[f] + b[f], ZERO) * w[f]
            out[i, o] = total


@compiled
def gate(transfer, slot, known, hidden, bounds, closed, taste, resistance, share, resisted):
    """Holds z_tr within its bounds, and says what the trunk sees and what is resisted.

    `held`, `Exit.share` and `Exit.resisted`, for n rows whose unit says what is known.

    Args:
        transfer: float32[n, K], z_tr, which is held in place.
        slot: int64[n].
        known: float32[u, K].
        hidden: bool[u, K].
        bounds: float32[u, K, 2], NaN where free.
        closed: Whether the trunk sees nothing of any source.
        taste: float64[K], τ_k; 1 where there is no gate.
        resistance: float64[K], softplus(ρ_k); 0 where nothing resists.
        share: float32[n, K], gets what is seen.
        resisted: float64[n], gets what is taken off.
    """
    for i in range(len(transfer)):
        s, total = slot[i], 0.0
        for k in range(transfer.shape[1]):
            least, most = bounds[s, k]
            if transfer[i, k] > most:
                transfer[i, k] = most
            if transfer[i, k] < least:
                transfer[i, k] = least
            p, free = _sigmoid(transfer[i, k]), math.isnan(most)
            stopped = known[s, k] * (1 - p)
            seen = 0.0 if closed else 1 - stopped * (1 - taste[k])
            share[i, k] = seen if free else min(seen, p)
            if free and not hidden[s, k]:
                total += resistance[k] * stopped
        resisted[i] = total


@compiled
def carried(target, source, transfer, slot, strength, hidden, own, carry):
    """Fills own interest and what is carried, of `carry` (`Exit.combine`).

    Args:
        target: float64[n], z_t.
        source: float32[n, K], z_s.
        transfer: float32[n, K], z_tr.
        slot: int64[n].
        strength: float32[u, K], softplus(κ_k[c]).
        hidden: bool[u, K].
        own: float64[n], gets z_t.
        carry: float64[n, K], gets what is carried.
    """
    for i in range(len(target)):
        s, own[i] = slot[i], target[i]
        for k in range(source.shape[1]):
            both = _sigmoid(source[i, k]) * _sigmoid(transfer[i, k])
            carry[i, k] = 0.0 if hidden[s, k] else strength[s, k] * both


@compiled
def summed(target, source, transfer, slot, hidden, own, carry):
    """Fills them as `sum` has it (`_summed`); arguments as above."""
    for i in range(len(target)):
        most, best = ZERO, 0
        for k in range(source.shape[1]):
            # In 32 bits, as the model has it: of sources that are as sure there, the first wins.
            both = np.float32(_sigmoid(source[i, k])) * np.float32(_sigmoid(transfer[i, k]))
            if not hidden[slot[i], k] and both > most:
                most, best = both, k
            carry[i, k] = 0.0
        alone = _sigmoid(target[i])
        own[i] = _half_logit(alone)
        carry[i, best] = _half_logit(alone + most) - own[i]


@compiled
def _sigmoid(z):
    return 1 / (1 + math.exp(-z))


@compiled
def _half_logit(whole):
    p = min(max(whole / 2, MARGIN), 1 - MARGIN)
    return math.log(p / (1 - p))

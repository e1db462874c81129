"""Which strata are worse? Chosen so that few of those that are named are named wrongly."""

from __future__ import annotations

import math
from collections.abc import Mapping


def worse_strata(log10_e: Mapping[str, float], slots: int, fdr: float) -> frozenset[str]:
    """The strata whose null e-BH refuses: of those it names, a share of at most `fdr` is named wrongly, on average.

    With K slots it names the k strata of the highest e-values for the largest k such that the k-th is at least
    K/(k·fdr), whatever depends on what (Wang & Ramdas, JRSS B 2022). `slots` counts those that have no study yet,
    so that a stratum that appears late changes no former choice.
    """
    if len(log10_e) > slots:
        raise ValueError("there are more strata than slots")
    ranked = sorted(log10_e, key=lambda name: (-log10_e[name], name))
    named = 0
    for k, name in enumerate(ranked, start=1):
        if log10_e[name] >= math.log10(slots / (k * fdr)):
            named = k
    return frozenset(ranked[:named])

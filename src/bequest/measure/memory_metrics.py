"""Metrics of what a model remembers, leaks and still can; the audit of unlearning.

Names and formulas follow OpenUnlearning (Dorna et al. 2025, arXiv 2506.12618), TOFU (Maini et al.
2024, arXiv 2401.06121) and MUSE (Shi et al. 2024, arXiv 2407.06460).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.measure.metric import Columns, mean_metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OPEN = "Dorna et al. 2025, OpenUnlearning, arXiv 2506.12618"


@mean_metric(unit="share", better="higher", source=_OPEN, needs=("memorised",))
def exact_memorisation(columns: Columns) -> NDArray[Any]:
    """Share of an answer's tokens that are the likeliest behind the true ones before; their mean.

    = 1/n · Σᵢ 1/tokensᵢ · Σ_t [argmax p(· | xᵢ, y_<t) = y_t]
    """
    return columns["memorised"]


@mean_metric(unit="share", better="higher", source=_OPEN, needs=("extraction",))
def extraction_strength(columns: Columns) -> NDArray[Any]:
    """Share of an answer that the model goes on with by itself once the rest is shown; their mean.

    = 1/n · Σᵢ (1 − kᵢ / tokensᵢ),  kᵢ: first place from which on every token is the likeliest
    """
    return columns["extraction"]


MEMORY_SCORES = (exact_memorisation, extraction_strength)

"""The metrics of sequences of tasks by name: unit, direction, definition and source of each."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from bequest.measure import continual, curves
from bequest.measure.metric import Better, Metric, defined

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

_GEM = "Lopez-Paz & Ranzato 2017, Gradient Episodic Memory"
_GEM_CODE = f"{_GEM}, released code"
_RWALK = "Chaudhry et al. 2018, Riemannian Walk"
_AGEM = "Chaudhry et al. 2019, Efficient Lifelong Learning with A-GEM"
_DIAZ = "Díaz-Rodríguez et al. 2018, Don't forget, there is more than forgetting"
_LIBERO = "Liu et al. 2023, LIBERO"
_MTIL = "Zheng et al. 2023, Preventing Zero-Shot Transfer Degradation (ZSCL)"
_GAP = "De Lange et al. 2023, Identifying the Stability Gap"
_CUBER = "Lin et al. 2022, Beyond Not-Forgetting (CUBER)"
_ICARL = "Rebuffi et al. 2017, iCaRL"
_RIEMER = "Riemer et al. 2019, Learning to Learn without Forgetting"
_PRETRAINING = "Yıldız et al. 2024, Investigating Continual Pretraining"
_MAMMOTH = "Mammoth (Buzzega et al. 2020), released code"

OF_THE_SCORE = "as the score"
_DIRECTED = "lower_is_better"


@dataclass(frozen=True)
class SequenceMetric(Metric):
    """A metric of one sequence of tasks; `needs` names the arrays its function takes.

    compute: `f(**arrays)`, with `lower_is_better` where `directed`; see `continual` and `curves`.
    level: it is an average of scores, so it has their direction and bounds; else it is made of
        differences, whose `better` is the same for all scores.
    only: the scores it has a meaning for; empty for any.
    """

    level: bool = False
    directed: bool = False
    only: tuple[str, ...] = ()

    def value(self, arrays: Mapping[str, NDArray[Any]], score: Metric) -> NDArray[Any]:
        """The metric of arrays of `score`; they may have leading dimensions.

        Raises:
            MissingScore: a score that is needed is NaN.
            RequestError: so few tasks leave it undefined.
        """
        given: dict[str, Any] = {name: arrays[name] for name in self.needs}
        if self.directed:
            given[_DIRECTED] = score.better == "lower"
        return self.compute(**given)

    def bounds_for(self, score: Metric) -> tuple[float, float]:
        """Least and greatest value for scores with these bounds."""
        if self.unit != OF_THE_SCORE:
            return self.bounds
        low, high = score.bounds if self.level else score.difference_bounds
        return max(low, self.bounds[0]), min(high, self.bounds[1])

    def unit_for(self, score: Metric) -> str:
        """The unit for this score."""
        return score.unit if self.unit == OF_THE_SCORE else self.unit

    def better_for(self, score: Metric) -> Better:
        """Which direction is good for this score."""
        return score.better if self.level else self.better


def _level(function: Callable[..., Any], source: str) -> SequenceMetric:
    return _made(function, source, "higher", level=True)


def _gain(function: Callable[..., Any], source: str, **more: Any) -> SequenceMetric:
    return _made(function, source, "higher", **more)


def _loss(function: Callable[..., Any], source: str, **more: Any) -> SequenceMetric:
    return _made(function, source, "lower", **more)


def _made(
    function: Callable[..., Any], source: str, better: Better, *, unit: str = OF_THE_SCORE,
    **more: Any,
) -> SequenceMetric:  # fmt: skip
    parameters = inspect.signature(function).parameters.values()
    definition, formula = defined(function)
    return SequenceMetric(
        name=function.__name__,
        unit=unit,
        better=better,
        definition=definition,
        formula=formula,
        source=source,
        kind="sequence",
        needs=tuple(one.name for one in parameters if one.default is one.empty),
        compute=function,
        directed=any(one.name == _DIRECTED for one in parameters),
        **more,
    )


_SHARES: Any = {"only": ("accuracy",), "bounds": (0.0, 1.0)}
_PERPLEXITY: Any = {"only": ("log_perplexity", "cross_entropy"), "unit": "perplexity"}
_FROM_ZERO: Any = {"bounds": (0.0, inf)}

SEQUENCE_METRICS = (
    _level(continual.average_accuracy, _GEM),
    _gain(continual.bwt, _GEM),
    _loss(continual.forgetting, _RWALK),
    _gain(continual.fwt, _GEM),
    _level(continual.learning_accuracy, _RIEMER),
    _level(continual.average_incremental_accuracy, _ICARL),
    _loss(continual.worst_forgetting, _RWALK),
    _loss(continual.forgetting_since_trained, _RWALK),
    _loss(continual.intransigence, _RWALK),
    _gain(continual.fwt_over_single, _CUBER),
    _gain(continual.gem_code_bwt, _GEM_CODE),
    _gain(continual.gem_code_fwt, _GEM_CODE),
    _loss(continual.mammoth_forgetting, _MAMMOTH, **_FROM_ZERO),
    _level(continual.diaz_accuracy, _DIAZ),
    _gain(continual.diaz_bwt, _DIAZ),
    _gain(continual.diaz_rem, _DIAZ, **_SHARES),
    _gain(continual.diaz_bwt_plus, _DIAZ, **_FROM_ZERO),
    _level(continual.diaz_fwt, _DIAZ),
    _level(continual.mtil_transfer, _MTIL),
    _level(continual.mtil_avg, _MTIL),
    _level(continual.mtil_last, _MTIL),
    _gain(continual.bwt_over_given, _PRETRAINING),
    _gain(continual.fwt_over_given, _PRETRAINING),
    _loss(continual.average_perplexity, _PRETRAINING, **_PERPLEXITY),
    _loss(continual.perplexity_of_average, _PRETRAINING, **_PERPLEXITY),
    _loss(continual.perplexity_forgetting, _PRETRAINING, **_PERPLEXITY),
    _level(curves.lca, _AGEM),
    _level(curves.agem_code_lca, f"{_AGEM}, released code"),
    _level(curves.libero_fwt, _LIBERO),
    _loss(curves.libero_nbt, _LIBERO),
    _loss(curves.libero_code_nbt, f"{_LIBERO}, released notebook"),
    _level(curves.libero_auc, _LIBERO),
    _level(curves.min_accuracy, _GAP),
    _level(curves.wc_accuracy, _GAP),
)

"""The geometry of a curve with error bars; the template only draws what stands here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sport.types import Metric

WIDTH, HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 24, 16, 40
_DODGE = 7.0  # pixels between neighbouring series, so that their error bars do not hide each other


@dataclass(frozen=True)
class Point:
    """A metric after an iteration, in pixels; ``low`` and ``high`` are the ends of its 95 % interval."""

    x: float
    y: float
    low: float
    high: float
    label: str


@dataclass(frozen=True)
class Series:
    """One line. ``number`` picks its colour."""

    name: str
    number: int
    points: tuple[Point, ...]

    @property
    def line(self) -> str:
        """The points as an SVG polyline takes them."""
        return " ".join(f"{p.x:.1f},{p.y:.1f}" for p in self.points)


@dataclass(frozen=True)
class Chart:
    """Lines of one split over the iterations; ``ticks`` are (pixel, words)."""

    split: str
    series: tuple[Series, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    bottom: int = HEIGHT - _BOTTOM


def chart(split: str, measured: Sequence[tuple[int, Mapping[str, Metric]]]) -> Chart:
    """Lay out the metrics of one split: iterations from left to right, shares from 0 to 100 % upwards."""
    shares = [(i, {name: m for name, m in metrics.items() if m.unit == "share"}) for i, metrics in measured]
    names = list(dict.fromkeys(name for _, metrics in shares for name in metrics))
    columns = {iteration: _column(place, len(measured)) for place, (iteration, _) in enumerate(measured)}
    series = []
    for number, name in enumerate(names):
        shift = (number - (len(names) - 1) / 2) * _DODGE
        points = [_point(columns[i] + shift, i, name, m[name]) for i, m in shares if name in m]
        series.append(Series(name, number % 6, tuple(points)))
    return Chart(
        split,
        tuple(series),
        tuple((x, "start" if iteration == 0 else f"iteration {iteration}") for iteration, x in columns.items()),
        tuple((_height(share / 100), f"{share} %") for share in (0, 25, 50, 75, 100)),
    )


def _point(x: float, iteration: int, name: str, metric: Metric) -> Point:
    words = (
        f"{name}, iteration {iteration}: {100 * metric.value:.1f} % ({100 * metric.low:.1f} to {100 * metric.high:.1f})"
    )
    return Point(x, _height(metric.value), _height(metric.low), _height(metric.high), words)


def _height(share: float) -> float:
    return round(_TOP + (1 - share) * (HEIGHT - _TOP - _BOTTOM), 1)


def _column(place: int, columns: int) -> float:
    inner = WIDTH - _LEFT - _RIGHT
    return round(_LEFT + inner * (place + 0.5) / columns, 1)

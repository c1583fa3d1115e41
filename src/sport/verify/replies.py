"""What a judge may answer, in three modes: the best, a full ranking, or scores. Each comes to a share by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

Mode = Literal["best", "ranking", "scores"]
Score = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]


class Reply(BaseModel):
    """Reason and notes by criterion. Validated with the shown names as ``context["names"]``."""

    model_config = ConfigDict(extra="ignore")

    reason: str = Field(min_length=1)
    criteria: dict[str, str] = Field(min_length=1)

    def shares(self, names: list[str]) -> dict[str, float] | None:
        """How good every candidate is, from 0 to 1; the best have the highest. None: the judge cannot tell."""
        raise NotImplementedError

    @field_validator("criteria", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        """Judges like to nest; what they nest is kept as words."""
        return (
            {str(k): v if isinstance(v, str) else str(v) for k, v in value.items()}
            if isinstance(value, dict)
            else value
        )


class Best(Reply):
    """The best candidate, and others that are exactly as good."""

    best: str | None
    tied: list[str] = Field(default_factory=list)

    def shares(self, names: list[str]) -> dict[str, float] | None:
        """1 for the best and its equals, 0 for the others."""
        return None if self.best is None else {name: float(name in {self.best, *self.tied}) for name in names}

    @model_validator(mode="after")
    def _known(self, info: ValidationInfo) -> Best:
        _among([*([self.best] if self.best is not None else []), *self.tied], info, whole=False)
        return self


class Ranking(Reply):
    """All candidates, the best first; equals share a place."""

    ranking: list[list[str]] | None

    def shares(self, names: list[str]) -> dict[str, float] | None:
        """The share of the other candidates that one is better than."""
        if self.ranking is None:
            return None
        found: dict[str, float] = {}
        below = len(names)
        for group in self.ranking:
            below -= len(group)
            found.update({name: below / max(1, len(names) - 1) for name in group})
        return found

    @field_validator("ranking", mode="before")
    @classmethod
    def _groups(cls, value: Any) -> Any:
        """A flat list is one without equals."""
        return [[one] if isinstance(one, str) else one for one in value] if isinstance(value, list) else value

    @model_validator(mode="after")
    def _known(self, info: ValidationInfo) -> Ranking:
        if self.ranking is not None:
            _among([name for group in self.ranking for name in group], info, whole=True)
        return self


class Scores(Reply):
    """A number from 0 to 10 for every candidate."""

    scores: dict[str, Score] | None

    def shares(self, names: list[str]) -> dict[str, float] | None:
        """Tenths."""
        return None if self.scores is None else {name: self.scores[name] / 10 for name in names}

    @model_validator(mode="after")
    def _known(self, info: ValidationInfo) -> Scores:
        if self.scores is not None:
            _among(list(self.scores), info, whole=True)
        return self


FORMS: dict[Mode, type[Reply]] = {"best": Best, "ranking": Ranking, "scores": Scores}


def _among(given: list[str], info: ValidationInfo, *, whole: bool) -> None:
    names = list((info.context or {})["names"])
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no candidate; they are {', '.join(names)}")
    if len(set(given)) != len(given):
        raise ValueError("a candidate is named twice")
    missing = [name for name in names if name not in given]
    if whole and missing:
        raise ValueError(f"{', '.join(missing)}: every candidate must be there")

"""The section `ensemble` of a config: how what several models say becomes one decision."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from raytrain.config.sections import Section, yaml_value

MOST_COST = 1e9  # beyond it, as in what an artifact keeps of it, sums are not exact any more
Cost = Annotated[float, Field(ge=0, le=MOST_COST)]


class EnsembleConfig(Section):
    drop_dead: bool = Field(
        True, description="leave out folds that learned nothing, unless all of an architecture did not"
    )
    weights: Literal["equal", "greedy", "stack"] = Field(
        "equal",
        description="task=classify: of architectures and repeats: equal, greedy (selected out of fold), or "
        "stack (a logistic regression on what they say)",
    )
    metric: Literal["log_loss", "accuracy", "macro_f1", "auc"] = Field(
        "log_loss", description="weights=greedy: by what they are selected"
    )
    average: Literal["auto", "proba", "logits"] = Field(
        "auto",
        description="task=classify: average probabilities, or their logarithms; auto: what has the lower log "
        "loss out of fold",
    )
    calibrate: Literal["auto"] | bool = Field(
        "auto",
        description="task=classify: divide log-probabilities by a temperature; auto: where that lowers the "
        "log loss of rows that it was not chosen by",
    )
    threshold: Literal["accuracy", "f1", "macro_f1", "cost"] | None = Field(
        None,
        description="task=classify: what decisions are best by, f1 of the second of two labels; null: the "
        "most probable label",
    )
    costs: dict[str, dict[str, Cost]] | None = Field(
        None,
        description="threshold=cost: true label to predicted label to cost, e.g. {rumour: {other: 5}}; other "
        "mistakes cost 1",
    )

    @field_validator("costs", mode="before")
    @classmethod
    def _by_name(cls, costs: Any) -> Any:
        """Labels that YAML reads as numbers."""
        if not isinstance(costs, dict):
            return costs
        return {
            yaml_value(true): {yaml_value(said): cost for said, cost in row.items()}
            if isinstance(row, dict)
            else row
            for true, row in costs.items()
        }

    @model_validator(mode="after")
    def _costs_are_read(self) -> "EnsembleConfig":
        if (self.threshold == "cost") != (self.costs is not None):
            expected = "threshold=cost and costs go together"
            found = f"threshold={yaml_value(self.threshold)} and costs={yaml_value(self.costs)}"
            raise ValueError(f"{expected}; found {found}")
        return self

"""Names of model deployments."""

import pytest

from judge_serve.catalogue.served_model import ServedModel, deployment_name


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("embedded", "JudgeModel:embedded"),
        ("openai/gpt-oss-120b", "JudgeModel:openai--gpt-oss-120b"),
        ("a.b", "JudgeModel:a_b"),
    ],
)
def test_deployments_are_named_by_their_model(model, name):
    assert deployment_name(model) == name


def test_a_served_model_survives_a_config_file():
    model = ServedModel(name="m", source="org/m", gpus=0, engine_options={"enforce_eager": True})
    assert ServedModel.model_validate(model.model_dump(mode="json")) == model


def test_more_replicas_at_least_than_at_most_are_refused():
    with pytest.raises(ValueError, match="min_replicas 2 is more than max_replicas 1"):
        ServedModel(name="m", source="org/m", min_replicas=2, max_replicas=1)


def test_a_fixed_number_of_replicas_is_allowed():
    assert ServedModel(name="m", source="org/m", min_replicas=2, max_replicas=2).min_replicas == 2

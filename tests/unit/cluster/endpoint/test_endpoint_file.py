"""Endpoint files: how an endpoint is reached and spoken to, never its key."""

import pytest

from cluster.endpoint.endpoint_file import load_endpoint_file
from cluster.endpoint.models import resolve_model
from judge_serve.engines.dialect import Dialect
from judge_serve.judging import RefusedInputError
from tests.source_tree import ROOT

PLAIN = 'base_url = "https://host/v1"\nmodel = "m"\n'
KEY = "sk-proj-Ab12Cd34Ef56Gh78Ij90"


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "endpoint.toml"
        path.write_text(text)
        return path

    return write


def test_a_file_that_names_address_and_model_is_as_the_address_alone(written):
    choice = resolve_model(str(written(PLAIN)))
    assert choice == resolve_model("https://host/v1#m")
    assert (choice.max_calls_in_flight, choice.least_calls_in_flight) == (64, 4)


@pytest.mark.parametrize("name", ["m", "o3", "openai/gpt-5-mini"])
def test_reasoning_models_are_known_by_name_in_a_file_too(written, name):
    file = written(PLAIN.replace('"m"', f'"{name}"'))
    assert load_endpoint_file(file) == resolve_model(f"https://host/v1#{name}").endpoint


def test_a_file_says_everything_that_an_endpoint_may_need(written):
    config = load_endpoint_file(
        written(
            f"""{PLAIN}
key_header = "api-key"
is_vllm = true
is_reasoning = true
timeout_s = 60
connect_timeout_s = 3
max_in_flight = 200
[query]
api-version = "2024-10-21"
[dialect]
dropped = ["seed", "response_format"]
token_limit = "max_completion_tokens"
max_top_logprobs = 5
dropped_schema_words = ["maxLength"]
folds_system = true
"""
        )
    )
    assert (config.key_header, config.query) == ("api-key", {"api-version": "2024-10-21"})
    assert (config.is_vllm, config.is_reasoning, config.timeout_s, config.max_in_flight) == (True, True, 60.0, 200)
    assert config.dialect == Dialect(
        dropped={"seed", "response_format"},
        token_limit="max_completion_tokens",
        max_top_logprobs=5,
        dropped_schema_words={"maxLength"},
        folds_system=True,
    )


def test_the_shipped_example_is_one():
    choice = resolve_model(str(ROOT / "examples" / "azure.toml"))
    assert choice.endpoint.key_headers(KEY) == {"api-key": KEY}
    assert choice.endpoint.query == {"api-version": "2024-10-21"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("colour = 1", "unknown field 'colour'; an endpoint file has base_url, model, key_header"),
        ("[dialect]\nspeaks = true", "unknown field 'dialect.speaks'"),
        ('[dialect]\ndropped = ["model"]', "dialect.dropped"),
        ('[dialect]\ntoken_limit = "tokens"', "dialect.token_limit"),
        ("max_in_flight = 3", "max_in_flight"),
        ("timeout_s = 0", "timeout_s"),
        ('key_header = "api key"', "key_header"),
        ('key_header = "x\\r\\ny"', "key_header"),
        ("[query]\nn = 1", r"query\.n"),
        ("= 1", "not a readable endpoint file"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(written, line, said):
    with pytest.raises(RefusedInputError, match=f"endpoint.toml: .*{said}"):
        load_endpoint_file(written(f"{PLAIN}{line}\n"))


@pytest.mark.parametrize(
    "text",
    [
        f'{PLAIN}api_key = "{KEY}"',
        f'{PLAIN}key = "x"',
        f'{PLAIN}token = "x"',
        f'{PLAIN}Authorization = "Bearer x"',
        f'{PLAIN}[headers]\nauthorization = "x"',
        f'{PLAIN}[query]\nkey = "{KEY}"',
        f'{PLAIN}[query]\nsubscription-key = "x"',
        f'{PLAIN}[query]\nwhatever = "{KEY}"',
        f'{PLAIN}[query]\nwhatever = "Bearer abc"',
        f'{PLAIN}[query]\nwhatever = "0123456789abcdef0123456789abcdef"',
    ],
)
def test_a_file_that_holds_a_key_is_refused_without_showing_it(written, text):
    with pytest.raises(RefusedInputError, match=r"looks like a key, .* RELEVANCE_JUDGE_MODEL_KEY") as caught:
        load_endpoint_file(written(text))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (f"https://me:{KEY}@host/v1", "holds no credentials"),
        (f"https://host/v1?key={KEY}x", "query"),
        ("ftp://host/v1", "write http"),
        ("host/v1", "write http"),
        ("http://[/v1", "no address"),
        ("http://host:99999/v1", "no address"),
        ("https://host/v1#m", "write http"),
    ],
)
def test_an_address_that_is_none_is_refused(written, address, said):
    with pytest.raises(RefusedInputError, match=said):
        load_endpoint_file(written(f'base_url = "{address}"\nmodel = "m"\n'))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RefusedInputError, match="no such endpoint file"):
        resolve_model(str(tmp_path / "gone.toml"))


def test_a_bound_of_calls_under_way_is_for_endpoints(written):
    choice = resolve_model(str(written(PLAIN))).with_max_in_flight(7)
    assert choice.max_calls_in_flight == 7
    served = resolve_model("embedded")
    assert served.with_max_in_flight(None) is served
    assert served.least_calls_in_flight is None
    with pytest.raises(
        RefusedInputError, match="--max-in-flight is for endpoints; embedded is served here and takes 32"
    ):
        served.with_max_in_flight(7)

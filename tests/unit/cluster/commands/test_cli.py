"""The command line: what a person gets wrong is one line on stderr and an exit status, before any Ray starts."""

import http.server
import json
import os
import socket
import threading

import pytest
from click.testing import CliRunner

from cluster.commands import app
from cluster.commands.running import EXIT_FAILED, EXIT_REFUSED
from cluster.endpoint.config import EXAMPLES
from cluster.endpoint.state import ServeState, started_at, write_state
from judge_serve.catalogue.served_model import ServedModel

pytestmark = pytest.mark.usefixtures("home", "no_ray")
DATA = str(EXAMPLES / "workplace.jsonl")
COMMANDS = ["demo", "evaluate", "optimize", "serve", "deploy", "rollback", "status", "label", "doctor"]


@pytest.fixture
def no_ray():
    """No command of this file gets as far as Ray."""
    import ray

    yield
    assert not ray.is_initialized()


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def refused(*arguments, status=EXIT_REFUSED):
    """The one line that says why; progress before it is allowed."""
    done = run(*arguments)
    assert done.exit_code == status, done.output
    assert done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if not line.startswith("[")]
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith("relevance-judge: ")
    return errors[0]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


# --- usage ---


@pytest.mark.parametrize("arguments", [["nosuch"], ["evaluate", "--nosuch"], ["evaluate", "--limit", "many"]])
def test_an_unknown_command_or_option_is_wrong_usage(arguments):
    done = run(*arguments)
    assert done.exit_code == EXIT_REFUSED
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    done = run(command, "--help")
    assert done.exit_code == 0
    assert "--json" in done.stdout


def test_an_unknown_optimizer_is_wrong_usage(out):
    assert run("optimize", DATA, "--optimizer", "nosuch", "--out", out).exit_code == EXIT_REFUSED


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["evaluate", DATA], "--out: Field required"),
        (["evaluate", "--out", "x"], "--data: Field required"),
        (["optimize", DATA, "--out", "x"], "--optimizer: Field required"),
        (["label", DATA, "--out", "x"], "--release: Field required"),
        (["deploy"], "--release: Field required"),
        (["serve", "--port", "99999"], "--port: "),
        (["evaluate", DATA, "--out", "x", "--limit", "0"], "--limit: "),
    ],
)
def test_a_missing_or_bad_setting_is_named(arguments, flag):
    assert flag in refused(*arguments)


def test_a_config_file_that_is_missing_is_refused(tmp_path):
    assert "not a readable TOML file" in refused("evaluate", "--config", tmp_path / "gone.toml")


# --- refused input ---


def test_a_bad_row_is_refused_with_its_place(tmp_path, out):
    data = tmp_path / "labels.jsonl"
    data.write_text('{"query_id": "q12", "query": "q", "document": "d", "rating": 7}\n')
    line = refused("evaluate", data, "--out", out)
    assert "rating 7 is off scale 1-5 for query_id 'q12' (labels.jsonl:1); check the rating column" in line
    assert not out.exists()


def test_missing_data_is_refused(tmp_path, out):
    assert "no such file or folder" in refused("evaluate", tmp_path / "gone.jsonl", "--out", out)


@pytest.mark.parametrize("command", [["evaluate", DATA], ["optimize", DATA, "--optimizer", "mipro"]])
def test_an_unknown_model_is_refused(out, command):
    assert "unknown model 'nosuch'" in refused(*command, "--model", "nosuch", "--out", out)


def test_a_missing_judge_file_is_refused(tmp_path, out):
    line = refused("evaluate", DATA, "--judge", tmp_path / "gone.toml", "--out", out)
    assert "no such judge file; give one with --judge FILE" in line


def test_a_judge_file_with_a_wrong_key_is_refused(tmp_path, out):
    (tmp_path / "judge.toml").write_text('[program.sections]\na = "x"\n[tsak]\nname = "x"\n')
    assert "tsak: Extra inputs" in refused("evaluate", DATA, "--judge", tmp_path / "judge.toml", "--out", out)


def test_a_finished_run_is_not_overwritten_and_opens_no_test_split(home, out):
    out.mkdir()
    (out / "result.json").write_text("{}")
    assert "holds a finished run; choose another --out" in refused("evaluate", DATA, "--out", out)
    assert not (home / "ledger.db").exists()


def test_a_budget_that_is_too_small_is_refused(out):
    line = refused("optimize", DATA, "--optimizer", "mipro", "--budget", "5", "--out", out)
    assert "--budget 5 is too small" in line


def test_a_store_that_cannot_be_opened_is_refused(out, monkeypatch):
    monkeypatch.setenv("RELEVANCE_JUDGE_STORE", "nosuch://user:secret@host/db")
    line = refused("evaluate", DATA, "--out", out)
    assert "check RELEVANCE_JUDGE_STORE" in line
    assert "secret" not in line


@pytest.mark.parametrize("release", ["ffffffff", "champion", "gone.json"])
def test_an_unknown_release_is_refused(registry_home, out, release):
    assert "release" in refused("evaluate", DATA, "--release", release, "--out", out)


# --- serving ---


@pytest.fixture
def taken_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_is_taken_is_refused(taken_port):
    line = refused("serve", "--port", taken_port)
    assert f"port {taken_port} on 127.0.0.1 is taken" in line


def test_an_open_address_needs_keys(monkeypatch):
    assert "set RELEVANCE_JUDGE_API_KEYS_FILE first" in refused("serve", "--host", "0.0.0.0")


def test_an_endpoint_is_not_served_again():
    assert "is an endpoint already" in refused("serve", "--model", "http://host/v1#m")


def announce(home, port):
    model = ServedModel(name="embedded", source="embedded", gpus=0)
    pid = os.getpid()
    began = started_at(pid)
    write_state(
        home,
        ServeState(pid=pid, started_at=began, ray_address="127.0.0.1:1", host="127.0.0.1", port=port, models=(model,)),
    )


def test_a_second_serve_is_refused(home):
    announce(home, 8_000)
    assert "'serve' runs already at http://127.0.0.1:8000" in refused("serve")


@pytest.mark.parametrize("command", [["deploy", "ffffffff"], ["rollback"]])
def test_without_an_endpoint_nothing_is_deployed(registry_home, command):
    refused(*command)


class _Ready(http.server.BaseHTTPRequestHandler):
    """An endpoint that is ready with a release that no registry knows."""

    def do_GET(self):
        body = json.dumps({"release": "0123456789ab"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint(registry_home):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Ready) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        announce(registry_home, server.server_address[1])
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("endpoint")
def test_there_is_no_way_back_without_a_champion_before():
    assert "no release has the alias 'previous'" in refused("rollback")


def test_status_tells_what_answers(endpoint):
    done = run("status", "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["endpoint"]["url"] == f"http://127.0.0.1:{endpoint}"
    assert (told["endpoint"]["ready"], told["endpoint"]["release"]) == (True, "0123456789ab")


def test_status_without_an_endpoint_says_so(registry_home):
    done = run("status", "--json")
    told = json.loads(done.stdout)
    nothing = {"aliases": {}, "gates": {}, "overrides": [], "unreadable": [], "deployment": None, "disagreements": []}
    assert told == {"home": str(registry_home), "endpoint": None, **nothing}


def test_status_of_an_endpoint_that_does_not_answer(registry_home, taken_port):
    announce(registry_home, 1)
    assert json.loads(run("status", "--json").stdout)["endpoint"]["ready"] is False


def test_a_rollback_without_an_answer_fails(registry_home):
    announce(registry_home, 1)
    assert "does not answer" in refused("rollback", status=EXIT_FAILED)

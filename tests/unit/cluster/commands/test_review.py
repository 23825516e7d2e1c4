"""The command `review`: what it serves, prints, exports and refuses."""

import json
import subprocess
import sys
import threading
from contextlib import closing

import httpx
import pytest
from click.testing import CliRunner

from cluster.commands import app
from cluster.commands.review import ReviewConfig, run_review
from cluster.commands.running import EXIT_REFUSED
from cluster.progress import Progress
from optimize_workers.ledger import Ledger
from tests.recorded_runs import make_pairs, write_run


def invoke(*arguments, status=0):
    done = CliRunner().invoke(app, ["review", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == status, done.output
    return done


def opened(home):
    """The ledger of a home, closed at the end of a with."""
    return closing(Ledger(f"sqlite:///{home / 'ledger.db'}"))


class Phases(Progress):
    """Progress that keeps what it is told."""

    def __init__(self):
        super().__init__()
        self.told = []

    def phase(self, title, total=0):
        self.told.append(title)

    def note(self, text):
        self.told.append(text)


def served(home, **settings):
    """What `review` tells while it runs, and its result; a decision is made over HTTP meanwhile."""
    progress, stop, answers = Phases(), threading.Event(), []

    def act():
        while not any("http://" in line for line in progress.told):
            stop.wait(0.05)
        url = next(word for line in progress.told for word in line.split() if word.startswith("http://"))
        with httpx.Client(follow_redirects=True, trust_env=False) as client:
            page = client.get(url).text
            token = page.split('name="form_token" value="')[1].split('"')[0]
            base = url.split("/?")[0]
            answers.append(client.post(f"{base}/pair/0", data={"form_token": token, "action": "reject"}).status_code)
        stop.set()

    thread = threading.Thread(target=act)
    thread.start()
    result = run_review(ReviewConfig(no_browser=True, **settings), progress, stop)
    thread.join()
    assert answers == [200]
    return progress.told, result


def test_the_page_is_served_until_it_is_stopped_and_says_what_was_decided(tmp_path, home):
    run = write_run(tmp_path / "run", make_pairs(6))
    told, result = served(home, run=run, author="ada")
    assert "6 pairs to review at http://127.0.0.1:" in told[0]
    counts = {"accepted": 0, "rejected": 1, "label_wrong": 0, "removed": 0}
    assert result == {"run": str(run), "pairs": 6, **counts}
    with opened(home) as ledger:
        assert [event.author for event in ledger.review_events(str(run))] == ["ada"]


def test_reading_test_pairs_is_recorded_and_told(tmp_path, home):
    run = write_run(tmp_path / "run", make_pairs(6, split="test"))
    told, _ = served(home, run=run, split="test")
    assert "must not reach the prompt" in told[0]
    with opened(home) as ledger:
        assert ledger.count_test_openings("f" * 64) == 1


def test_test_pairs_of_a_run_count_for_the_split_that_it_opened(tmp_path, home):
    run = write_run(tmp_path / "run", make_pairs(6, split="test"))
    with opened(home) as ledger:
        ledger.record_test_opening("a" * 64, "evaluate", str(run.resolve()))
    served(home, run=run, split="test")
    with opened(home) as ledger:
        assert [ledger.count_test_openings(name * 64) for name in "af"] == [2, 0]


def test_another_address_than_loopback_is_warned_about(tmp_path, home):
    told, _ = served(home, run=write_run(tmp_path / "run", make_pairs(3)), host="0.0.0.0")
    assert "--host 0.0.0.0: whoever has the address" in told[0]


def test_the_export_holds_what_was_done(tmp_path, home):
    run = write_run(tmp_path / "run", make_pairs(6))
    served(home, run=run)
    path = tmp_path / "review.jsonl"
    assert json.loads(invoke(run, "--export", path, "--json").stdout) == {"pairs": 1, "path": str(path)}
    assert json.loads(path.read_text())["decision"] == "rejected"
    assert "exists; choose another name" in invoke(run, "--export", path, status=EXIT_REFUSED).stderr


def test_an_export_of_nothing_is_refused_and_writes_nothing(tmp_path, home):
    run = write_run(tmp_path / "run", make_pairs(3))
    path = tmp_path / "review.jsonl"
    assert "nothing was reviewed in this run" in invoke(run, "--export", path, status=EXIT_REFUSED).stderr
    missing = tmp_path / "nosuch"
    assert f"{missing}: there is no such folder" in invoke(missing, "--export", path, status=EXIT_REFUSED).stderr
    assert not path.exists()


def test_the_browser_gets_an_address_that_the_printed_one_does_not_give_away(tmp_path, home):
    progress, stop, opened_with, answers = Phases(), threading.Event(), [], []

    def open_browser(url):
        opened_with.append(url)
        for _ in range(2):
            with httpx.Client(follow_redirects=True, trust_env=False) as client:
                answers.append(client.get(url).status_code)
        stop.set()

    run = write_run(tmp_path / "run", make_pairs(3))
    run_review(ReviewConfig(run=run), progress, stop, open_browser)
    assert answers == [200, 403]
    token = opened_with[0].split("token=")[1]
    assert token not in " ".join(progress.told)


@pytest.mark.usefixtures("home")
def test_a_run_of_an_optimizer_is_refused_with_what_to_do(tmp_path):
    run = write_run(tmp_path / "run", make_pairs(3, split="test"))
    line = invoke(run, status=EXIT_REFUSED).stderr
    assert "--split train" in line
    assert len(line.splitlines()) == 1


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nosuch"], "holds no finished run"),
        (["run", "--port", "70000"], "--port: "),
        (["run", "--split", "all"], "--split: "),
        (["run", "--limit", "0"], "--limit: "),
        ([], "--run: Field required"),
    ],
)
def test_wrong_usage_is_one_line(arguments, why):
    assert why in invoke(*arguments, status=EXIT_REFUSED).stderr


@pytest.mark.usefixtures("home")
def test_an_address_that_cannot_be_listened_on_is_refused(tmp_path):
    run = write_run(tmp_path / "run", make_pairs(3))
    assert "cannot be listened on" in invoke(run, "--host", "203.0.113.1", status=EXIT_REFUSED).stderr


def test_a_dry_run_prints_the_config(tmp_path):
    shown = json.loads(invoke("out/train", "--author", "ada", "--dry-run").stdout)
    assert (shown["run"], shown["author"], shown["host"], shown["port"]) == ("out/train", "ada", "127.0.0.1", 0)


def test_the_page_starts_without_libraries_that_take_seconds_to_import(tmp_path, home):
    run = write_run(tmp_path / "run", make_pairs(3))
    script = (
        "import sys, threading\n"
        "from dataclasses import replace\n"
        "import click.testing, cluster.commands, cluster.commands.review as review\n"
        "stop = threading.Event(); stop.set()\n"
        "run = lambda config, progress: review.run_review(config, progress, stop)\n"
        "review.COMMAND = replace(review.COMMAND, run=run)\n"
        "done = click.testing.CliRunner().invoke(cluster.commands.app, ['review', sys.argv[1], '--no-browser'])\n"
        "assert done.exit_code == 0, done.output\n"
        "slow = {'ray', 'mlflow', 'dspy', 'optuna', 'pandas', 'scipy', 'sklearn', 'torch', 'vllm'}\n"
        "print(sorted(slow & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(run)], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")

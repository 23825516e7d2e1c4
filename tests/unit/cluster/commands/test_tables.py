"""Tables for people: texts from elsewhere cannot steer the terminal, whatever table they stand in."""

from cluster.commands.evaluate import ranking_tables
from cluster.commands.printing import print_plain, printable
from cluster.commands.tables import print_figures

STEERS = "a\x1b[31m\x1b]0;title\x07\u202eb"
UNKNOWN = {"value": 0.5, "ci95": None}


def test_a_ranking_with_a_hostile_name_does_not_steer_the_terminal(capsys):
    one = {"name": STEERS, "human": UNKNOWN, "judge": UNKNOWN}
    counts = {"listed": 1, "unlabelled": 0, "invalid": 0, "queries_left_out": 0}
    for part in ranking_tables({"k": 10, "queries": 1, "rankings": [one], "differences": [], "order": None, **counts}):
        print_plain(part)
    shown = capsys.readouterr().out
    assert "NDCG@10" in shown and "a\ufffd[31m" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_a_line_does_not_steer_the_terminal_either(capsys):
    print_plain(f"override   {STEERS}")
    assert "\x1b" not in capsys.readouterr().out


def test_spaces_of_other_scripts_are_kept():
    assert printable("100\u00a0km\u3000x\n") == "100\u00a0km\u3000x\n"


def test_a_model_that_changed_is_said_once_and_one_that_did_not_is_not(capsys):
    figures = {"nmse": 4.0, "nmse_ci95": [3.0, 5.0], "valid": 9, "invalid": 0, "nmse_valid": 4.0, "nmse_constant": 9.0}
    figures |= {"skill": None}
    model = {"name": "m", "changed": True, "canaries": {"n": 20, "agree": 7}}
    print_figures("9 pairs", [("baseline", {**figures, "model": model}), ("winner", {**figures, "model": model})])
    assert capsys.readouterr().out.count("7 of 20 canaries agree") == 1
    print_figures("9 pairs", [("judge", {**figures, "model": {**model, "changed": False}})])
    assert "changed" not in capsys.readouterr().out

from spmat_nb.progress import Progress


def run(**options):
    with Progress("pretrain", 2, **options) as bar:
        for loss in (1.23456, 0.5):
            bar.report({"loss": loss})


def test_each_epoch_is_one_plain_line_outside_a_terminal(capsys):
    run()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[:2] for line in lines] == [
        ["pretrain: epoch 1/2", "loss 1.235"],
        ["pretrain: epoch 2/2", "loss 0.5"],
    ]
    assert lines[-1].endswith("0 s left")


def test_silence_is_silent(capsys):
    run(show=False)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    run()
    shown = capsys.readouterr().err
    assert "pretrain: 100%" in shown and "loss=0.5" in shown and "epoch 2/2" not in shown


def test_short_rounds_share_their_lines_and_the_last_one_is_said(capsys):
    with Progress("graphs", 5, unit="chunk", pause=60.0) as bar:
        for _ in range(5):
            bar.report()
    assert [line.split("  ")[0] for line in capsys.readouterr().err.splitlines()] == [
        "graphs: chunk 1/5",
        "graphs: chunk 5/5",
    ]

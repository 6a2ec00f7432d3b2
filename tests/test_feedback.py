import pytest

from spmat_nb.feedback import Mistake, Outcome, check, not_done


@check("double", praise="Doubling is linear.")
def check_double(function):
    got = function(3)
    if got != 6:
        raise Mistake("double(3)", got, 6, "Squaring gives 9: multiply by 2 instead.")


def broken(x):
    raise KeyError("sodium")


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (lambda x: 2 * x, "right", "[right] double. Doubling is linear."),
        (lambda x: x * x, "wrong", "[not yet right] double. Tried double(3); got 9, wanted 6. Squaring gives 9"),
        (broken, "wrong", "Your answer stopped with KeyError: 'sodium'."),
        (lambda x: not_done(), "open", "[not done yet] double. Replace"),
        (None, "wrong", "TypeError"),
    ],
)
def test_a_check_says_what_it_found_and_never_raises(answer, state, words):
    outcome = check_double(answer)
    assert outcome.state == state and bool(outcome) is (state == "right") and words in str(outcome)


def test_a_check_keeps_its_name_and_shows_itself_as_text():
    class Printer:
        def text(self, text):
            self.shown = text

    printer = Printer()
    Outcome("x", "right")._repr_pretty_(printer, False)
    assert printer.shown == "[right] x." and check_double.__name__ == "check_double"

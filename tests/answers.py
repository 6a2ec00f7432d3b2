"""Right and wrong answers of learners, and what a check says of them."""


def function(source, *changes, **names):
    """The function `answer` of a source with some of its text replaced, which must be there; it may use `names`."""
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    exec(source, names)
    return names["answer"]


def assert_names(outcome, words):
    assert outcome.state == "wrong" and words in str(outcome), str(outcome)

"""Work in threads: told on the thread of the window, cancelled, the newest of many."""

import threading
import time

import pytest

from denoise.errors import InputError
from napari_denoise.jobs import Job, Newest, readable, stop_all
from napari_denoise.run.forms import ParameterForm


@pytest.fixture
def heard(qapp):
    """A list, and a function that connects a signal to it with the name of the thread that heard it."""
    found = []

    def connect(signal, name):
        signal.connect(lambda *args: found.append((name, *args, threading.current_thread().name)))

    return found, connect


def test_the_outcome_is_told_on_the_main_thread(until, heard):
    found, connect = heard
    job = Job(lambda job: (job.told.emit(1), threading.current_thread().name)[1])
    connect(job.told, "told")
    connect(job.done, "done")
    job.start()
    until(lambda: len(found) == 2)
    assert found == [("told", 1, "MainThread"), ("done", "denoise", "MainThread")]


def test_an_error_is_told_in_words(until, heard, caplog):
    found, connect = heard

    def fail(job):
        raise InputError("no data", value="all NaN", action="give another file")

    for work in (fail, lambda job: 1 / 0):
        job = Job(work)
        connect(job.failed, "failed")
        job.start()
    until(lambda: len(found) == 2)
    texts = sorted(one[1] for one in found)
    assert texts[0] == str(InputError("no data", value="all NaN", action="give another file"))
    assert texts[1].startswith("unexpected error (ZeroDivisionError: division by zero) at test_jobs.py:")
    assert "Traceback" not in "".join(texts)


def test_a_cancelled_job_says_so(until, heard):
    found, connect = heard

    def work(job):
        while True:
            job.token.check()
            time.sleep(0.001)

    job = Job(work)
    connect(job.cancelled, "cancelled")
    job.start()
    job.cancel()
    until(lambda: found)
    assert found == [("cancelled", "MainThread")]


@pytest.mark.parametrize(("lasts", "outcome"), [(False, ("cancelled",)), (True, ("done", "written"))])
def test_what_came_too_late_to_be_cancelled_is_done_where_it_lasts(until, heard, lasts, outcome):
    found, connect = heard

    def work(job):
        job.cancel()
        return "written"

    job = Job(work, lasts=lasts)
    connect(job.done, "done")
    connect(job.cancelled, "cancelled")
    job.start()
    until(lambda: found)
    assert found == [(*outcome, "MainThread")]


def test_stop_all_waits(qapp):
    ended = []

    def work(job):
        while not job.token.cancelled:
            time.sleep(0.001)
        time.sleep(0.05)
        ended.append(1)

    Job(work).start()
    stop_all()
    assert ended == [1]


@pytest.mark.parametrize("cancels", [True, False])
def test_the_newest_request_is_answered_last(until, cancels):
    answers, begun = [], []

    def work(request, job):
        begun.append(request)
        for _ in range(20):
            time.sleep(0.002)
            job.token.check()
        return request * 10

    newest = Newest(work, cancels=cancels)
    newest.answered.connect(lambda found, request: answers.append((found, request)))
    newest.ask(1)
    until(lambda: begun)
    for request in (2, 3, 4):
        newest.ask(request)
    until(lambda: newest.idle)
    assert begun == [1, 4]  # those between were never begun
    assert answers == ([(40, 4)] if cancels else [(10, 1), (40, 4)])


def test_the_error_of_an_answer_does_not_end_it(until):
    said, answers = [], []

    def work(request, job):
        if request == 1:
            raise InputError("no")
        return request

    newest = Newest(work)
    newest.failed.connect(said.append)
    newest.answered.connect(lambda found, _: answers.append(found))
    newest.ask(1)
    until(lambda: said)
    newest.ask(2)
    until(lambda: answers)
    assert answers == [2]


def test_readable_names_what_to_do():
    assert "report it" in readable(ValueError("odd"))


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("ist", {"threshold": 4.25, "spatial_scales": 3, "penalty": "soft"}),
        ("pca", {"n_components": 7}),
        ("noiser", {"region": (1, 9, 2, 8), "clip": None}),
        ("unet", {"flips": 4, "model": "a folder"}),
        ("smooth", {"fwhm": 2.5}),
    ],
)
def test_a_form_gives_back_what_it_was_given(qapp, method, values):
    from denoise.methods import get_method

    kind = get_method(method)
    form, heard = ParameterForm(kind.Parameters), []
    form.changed.connect(lambda: heard.append(1))
    assert form.values() == {}
    form.set_values(values)
    assert form.values() == values
    assert heard == [1]
    kind(**form.values())  # the model takes them
    form.set_values({})
    assert form.values() == {}

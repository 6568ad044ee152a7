"""What is timed and what is counted as memory."""

import torch

from tiwlib.runs.step_cost import kept_bytes, seconds


def test_what_exp_keeps_is_its_result():
    x = torch.ones(1000, requires_grad=True)
    assert kept_bytes(lambda: x.exp()) == 4000


def test_a_storage_counts_once_and_a_second_one_adds():
    x = torch.ones(1000, requires_grad=True)
    assert kept_bytes(lambda: (lambda y: y[:500] * y[500:] * y[:500])(x.exp())) == 4000 + 2000  # one product


def test_a_graph_that_is_freed_does_not_add_to_the_next():
    x = torch.ones(1000, requires_grad=True)

    def first_then_second():
        torch.autograd.grad(x.exp().sum(), x)
        return x.exp()

    assert kept_bytes(first_then_second) == 4000
    assert kept_bytes(lambda: (x.exp(), (2 * x).exp())) == 8000, "kept at one time, they add"


def test_calls_are_timed_in_turns_and_the_first_turn_is_not_counted():
    calls = []
    found = seconds({name: lambda n=name: calls.append(n) for name in "ab"}, 3)
    assert calls == ["a", "b"] * 4 and all(len(times) == 3 for times in found.values())

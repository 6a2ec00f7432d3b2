from dataclasses import replace

import pytest
import torch
from torch import nn

from spmat_nb.depth import encoder_groups, kept_weights
from spmat_nb.encoders import make_encoder
from spmat_nb.errors import SettingsError

LAYERS = ("embedding.", "convs.0.", "convs.1.", "convs.2.")  # upwards; what is left is the read-out


@pytest.fixture(params=["cgcnn", "transformer"])
def encoder(request, small):
    return make_encoder(replace(small, name=request.param, convolutions=3))


def layer_of(name):
    return next((number for number, start in enumerate(LAYERS) if name.startswith(start)), len(LAYERS))


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_the_embedding_and_so_many_blocks_are_kept(encoder, keep):
    everything, kept = encoder.state_dict(), kept_weights(encoder, keep)
    assert set(kept) == {name for name in everything if layer_of(name) <= keep}
    assert all(torch.equal(value, everything[name]) for name, value in kept.items())


def test_without_a_number_everything_is_kept(encoder):
    assert set(kept_weights(encoder, None)) == set(encoder.state_dict())


def test_each_layer_has_the_rate_of_the_one_above_times_the_decay(encoder):
    groups = encoder_groups(encoder, 0.1, 0.5)
    assert [group["full_rate"] for group in groups] == pytest.approx([0.1, 0.05, 0.025, 0.0125, 0.00625])
    found = {id(weights): number for number, group in enumerate(groups) for weights in group["params"]}
    assert found == {id(weights): len(LAYERS) - layer_of(name) for name, weights in encoder.named_parameters()}
    assert sum(len(group["params"]) for group in groups) == len(found)


def test_without_a_decay_there_is_one_group_of_all_weights_in_their_order(encoder):
    (group,) = encoder_groups(encoder, 0.1, 1.0)
    assert group["full_rate"] == 0.1
    assert [id(weights) for weights in group["params"]] == [id(weights) for weights in encoder.parameters()]


def test_more_blocks_than_there_are_cannot_be_kept(encoder):
    with pytest.raises(SettingsError, match="keep is 4, but the encoder has 3 blocks"):
        kept_weights(encoder, 4)


def test_an_encoder_without_blocks_is_taken_whole_or_not_at_all():
    other = nn.Linear(2, 2)
    assert set(kept_weights(other, None)) == {"weight", "bias"}
    assert len(encoder_groups(other, 0.1, 1.0)) == 1
    for refused in (lambda: kept_weights(other, 0), lambda: encoder_groups(other, 0.1, 0.5)):
        with pytest.raises(SettingsError, match="made of blocks; Linear is none"):
            refused()

"""Loss and gradient of one batch for every loss and two encoders, by one process or by several under torchrun."""

import sys
from dataclasses import replace

import torch

from spmat_nb.crystals import load
from spmat_nb.distributed import joined
from spmat_nb.layers import TwoViews
from spmat_nb.losses import LOSSES
from spmat_nb.pretrain import prepare, view_loss
from spmat_nb.settings import EncoderSettings, PretrainSettings

SMALL = EncoderSettings(node_features=16, convolutions=2, hidden=16, projection=16)
INDEX = torch.arange(11)  # does not divide by two


def measure(data):
    torch.set_num_threads(1)
    crystals, found = load(data), {}
    for encoder in ("transformer", "cgcnn"):
        for loss in LOSSES:
            settings = PretrainSettings(loss=loss, batch_size=16)
            job = prepare(crystals, settings, replace(SMALL, name=encoder), None, torch.device("cpu"))
            # double precision, so that a difference is one of principle
            network = TwoViews(*(module.double() for module in job.modules().values()))
            network.train(encoder == "transformer")  # the statistics of batch normalisation are each part's own
            job = replace(job, network=job.group.wrap(network))
            value = view_loss(job, INDEX, epoch=0)
            value.backward()
            grads = [p.grad.flatten() for module in job.modules().values() for p in module.parameters()]
            found[f"{encoder} {loss}"] = torch.cat([value.detach()[None], *grads])
    return found


if __name__ == "__main__":
    with joined() as group:
        found = measure(sys.argv[1])
        torch.save(found, f"{sys.argv[2]}.{group.rank}")

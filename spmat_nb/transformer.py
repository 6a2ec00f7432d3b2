"""A graph transformer for crystals: attention over the neighbours of each atom in place of CGCNN's gated sum.

The parts are known ones: multi-head attention in residual blocks (Vaswani et al., 2017), with the norm before each part
(Xiong et al., 2020); a learnt bias added to the scores (Graphormer, Ying et al., 2021), here made from the distance;
values filtered by the distance (SchNet, Schuett et al., 2017). Their combination and the sizes are our choice: the
paper names transformers as an open question.

LayerNorm looks at one atom at a time, BatchNorm at all of a batch. With it the embedding of a crystal never depends on
its companions, in training too, and a batch that is shared out among processes gives the gradient of the whole batch.

Letters: N atoms, E edges, B crystals, K Gaussians, F features, A heads.
"""

from functools import partial

from torch import Tensor, nn

from .graphs import Batch
from .layers import AtomEncoder
from .settings import EncoderSettings


class NeighbourAttention(nn.Module):
    """Each atom takes a weighted mean over its neighbours, with weights of its own in each head.

    Edge i-j has the score q_i . k_j / sqrt(F / A) + bias(d_ij), and the weights of an atom's edges are the softmax of
    their scores. Its value is v_j * (1 + filter(d_ij)), so that the distance also changes what is heard, not only how
    loud. The heads are concatenated; the feed-forward layer that follows mixes them.

    Args:
        features: F, a multiple of A.
        gaussians: K.
        heads: A.
    """

    def __init__(self, features: int, gaussians: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(features, features)
        # no constant in the next two: added to all scores of an atom, it cancels in the softmax
        self.key = nn.Linear(features, features, bias=False)
        self.distance_bias = nn.Linear(gaussians, heads, bias=False)
        self.value = nn.Linear(features, features)
        self.filter = nn.Linear(gaussians, features, bias=False)

    def forward(self, atoms: Tensor, edges: Tensor, batch: Batch) -> Tensor:
        """[N, F] atoms and [E, K] expanded distances to [N, F]; zeros for an atom without edges."""
        weights = self.weights(atoms, edges, batch)  # [E, A]
        values = self.value(atoms)[batch.neighbour] * (1 + self.filter(edges))  # [E, F]
        by_head = values.unflatten(1, (self.heads, -1))  # [E, F] to [E, A, F / A]
        messages = (weights[:, :, None] * by_head).flatten(1)  # [E, A, F / A] to [E, F]
        return messages.new_zeros(atoms.shape).index_add(0, batch.centre, messages)  # [N, F]

    def weights(self, atoms: Tensor, edges: Tensor, batch: Batch) -> Tensor:
        """How much each edge counts for its receiving atom, in each head: [E, A], summing to 1 over an atom's edges."""
        from torch_geometric.utils import softmax

        query, key = self.query(atoms)[batch.centre], self.key(atoms)[batch.neighbour]  # [E, F]
        products = (query * key).unflatten(1, (self.heads, -1))  # [E, F] to [E, A, F / A]
        scores = products.sum(2, dtype=edges.dtype) * products.shape[2] ** -0.5  # [E, A], in full precision
        return softmax(scores + self.distance_bias(edges), batch.centre, num_nodes=len(atoms))


class AttentionBlock(nn.Module):
    """Attention, then a feed-forward layer on each atom; both normalise what they read and add to what was there.

    The feed-forward layer is F - F - F, not F - 4F - F as in text models: that keeps the encoder as large as CGCNN.
    """

    def __init__(self, features: int, gaussians: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(features)
        self.attention = NeighbourAttention(features, gaussians, heads)
        self.norm2 = nn.LayerNorm(features)
        self.feed_forward = nn.Sequential(nn.Linear(features, features), nn.GELU(), nn.Linear(features, features))

    def forward(self, atoms: Tensor, edges: Tensor, batch: Batch) -> Tensor:
        """[N, F] atoms and [E, K] expanded distances to [N, F]."""
        atoms = atoms + self.attention(self.norm1(atoms), edges, batch)
        return atoms + self.feed_forward(self.norm2(atoms))


class CrystalTransformer(AtomEncoder):
    """A drop-in for CGCNN that attends instead of convolving: [B] crystals to [B, hidden].

    First layer, pooling and last layer are CGCNN's, so that every diagnostic means the same for both. A last LayerNorm
    stands before the pool because the sum of the blocks is not normalised.

    Args:
        settings: `convolutions` is the number of blocks, `node_features` the width F and `heads` the number A.
    """

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__(settings, partial(AttentionBlock, heads=settings.heads))
        self.norm = nn.LayerNorm(settings.node_features)

    def forward(self, batch: Batch) -> Tensor:
        """A batch of B crystals to embeddings [B, hidden]."""
        atoms, edges = self.embed_atoms(batch), self.basis(batch.distance)  # [N, F], [E, K]
        for block in self.convs:
            atoms = block(atoms, edges, batch)
        return self.read_out(self.norm(atoms), batch)

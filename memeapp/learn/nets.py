"""The networks of SemiMemes (arXiv 2304.00020): `CromAE` twice and `RawNCook`, and their union."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from memeapp.learn.linear import Linear
from memeapp.learn.recipe import Recipe


class CromAE(nn.Module):
    """Cross-modality autoencoder: reconstructs one modality's features from the other's.

    Its encoder's output is the "cooked" feature that `RawNCook` takes beside the raw one.
    """

    def __init__(self, width_in: int, width_out: int, hidden: int = 768) -> None:
        super().__init__()
        self.encoder = Linear(width_in, hidden)
        self.activation = nn.PReLU(hidden)
        self.decoder = Linear(hidden, width_out)

    def cook(self, features: Tensor, activated: bool) -> Tensor:
        """(N, width_in) to (N, hidden), before (as in the paper) or after the PReLU."""
        hidden: Tensor = self.encoder(features)
        return self.activation(hidden) if activated else hidden

    def forward(self, features: Tensor) -> Tensor:
        """(N, width_in) to the other modality's (N, width_out)."""
        reconstruction: Tensor = self.decoder(self.cook(features, activated=True))
        return reconstruction

    def rescale(self, given: float, wanted: float) -> None:
        """Take features that are smaller by the factor `given` for the same hidden values, and give
        reconstructions that are smaller by the factor `wanted`."""
        with torch.no_grad():
            self.encoder.weight.mul_(given)
            self.decoder.weight.div_(wanted)
            self.decoder.bias.div_(wanted)


class RawNCook(nn.Module):
    """Fusion classifier: one branch a source (raw and cooked, image and text), then one layer.

    With `interaction` that layer also sees the first two branches multiplied.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        labels: int,
        branch: int = 256,
        dropout: float = 0.2,
        interaction: bool = False,
    ) -> None:
        super().__init__()
        self.interaction = interaction
        self.branches = nn.ModuleList(
            nn.Sequential(Linear(width, branch), nn.ReLU(), nn.Dropout(dropout)) for width in widths
        )
        self.output = Linear(branch * (len(widths) + interaction), labels)

    def become_average(self, heads: Sequence[RawNCook]) -> None:
        """Answer with the mean of the logits of some heads, each 1 / len(heads) as wide as this.

        The output layer is linear, so heads side by side are one head.
        """
        with torch.no_grad():
            for number, branch in enumerate(self.branches):
                own = branch.state_dict()
                for name, value in own.items():
                    parts = [head.branches[number].state_dict()[name] for head in heads]
                    value.copy_(torch.cat(parts))
            blocks = [
                head.output.weight.chunk(len(self.branches) + self.interaction, dim=1)
                for head in heads
            ]
            merged = [torch.cat(columns, dim=1) for columns in zip(*blocks, strict=True)]
            self.output.weight.copy_(torch.cat(merged, dim=1) / len(heads))
            self.output.bias.copy_(torch.stack([head.output.bias for head in heads]).mean(dim=0))

    def forward(self, sources: tuple[Tensor, ...]) -> Tensor:
        """Sources of shape (N, widths[i]) to logits (N, labels)."""
        branches = [branch(source) for branch, source in zip(self.branches, sources, strict=True)]
        if self.interaction:
            branches.append(branches[0] * branches[1])
        logits: Tensor = self.output(torch.cat(branches, dim=1))
        return logits


class SemiMemes(nn.Module):
    """From raw encoder features to logits: normalisation, both autoencoders, the classifier."""

    def __init__(self, image_width: int, text_width: int, labels: int, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.image_to_text = CromAE(image_width, text_width, recipe.hidden)
        self.text_to_image = CromAE(text_width, image_width, recipe.hidden)
        self.labels = labels
        self.widths = (image_width, text_width, *((recipe.hidden,) * 2 if recipe.cook else ()))
        self.classifier = self.head(members=max(1, recipe.folds))

    def head(self, members: int = 1) -> RawNCook:
        """A fresh classifier of the recipe's width, or as wide as so many of them together."""
        recipe = self.recipe
        return RawNCook(
            self.widths, self.labels, recipe.branch * members, recipe.dropout, recipe.interaction
        )

    def prepare(self, features: Tensor) -> Tensor:
        """Raw encoder features (N, width) as the networks take them."""
        return functional.normalize(features, dim=1) if self.recipe.normalise else features

    def sources(self, image: Tensor, text: Tensor) -> tuple[Tensor, ...]:
        """What the heads read: prepared features, and their cooked counterparts if there are."""
        image, text = self.prepare(image), self.prepare(text)
        if not self.recipe.cook:
            return image, text
        activated = self.recipe.cook_after_activation
        return (
            image,
            text,
            self.image_to_text.cook(image, activated),
            self.text_to_image.cook(text, activated),
        )

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """Raw features (N, image width) and (N, text width) to logits (N, labels)."""
        logits: Tensor = self.classifier(self.sources(image, text))
        return logits

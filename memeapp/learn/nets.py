"""The networks of SemiMemes (arXiv 2304.00020): `CromAE` twice and `RawNCook`, and their union."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from memeapp.learn.recipe import Recipe


class CromAE(nn.Module):
    """Cross-modality autoencoder: reconstructs one modality's features from the other's.

    Its encoder's output is the "cooked" feature that `RawNCook` takes beside the raw one.
    """

    def __init__(self, width_in: int, width_out: int, hidden: int = 768) -> None:
        super().__init__()
        self.encoder = nn.Linear(width_in, hidden)
        self.activation = nn.PReLU(hidden)
        self.decoder = nn.Linear(hidden, width_out)

    def cook(self, features: Tensor, activated: bool) -> Tensor:
        """(N, width_in) to (N, hidden), before (as in the paper) or after the PReLU."""
        hidden: Tensor = self.encoder(features)
        return self.activation(hidden) if activated else hidden

    def forward(self, features: Tensor) -> Tensor:
        """(N, width_in) to the other modality's (N, width_out)."""
        reconstruction: Tensor = self.decoder(self.cook(features, activated=True))
        return reconstruction


class RawNCook(nn.Module):
    """Fusion classifier: one branch a source (raw and cooked, image and text), then one layer."""

    def __init__(
        self, widths: tuple[int, ...], labels: int, branch: int = 256, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(width, branch), nn.ReLU(), nn.Dropout(dropout))
            for width in widths
        )
        self.output = nn.Linear(branch * len(widths), labels)

    def forward(self, sources: tuple[Tensor, ...]) -> Tensor:
        """Sources of shape (N, widths[i]) to logits (N, labels)."""
        branches = [branch(source) for branch, source in zip(self.branches, sources, strict=True)]
        logits: Tensor = self.output(torch.cat(branches, dim=1))
        return logits


class SemiMemes(nn.Module):
    """From raw encoder features to logits: normalisation, both autoencoders, the classifier."""

    def __init__(self, image_width: int, text_width: int, labels: int, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.image_to_text = CromAE(image_width, text_width, recipe.hidden)
        self.text_to_image = CromAE(text_width, image_width, recipe.hidden)
        widths = (image_width, text_width, recipe.hidden, recipe.hidden)
        self.classifier = RawNCook(widths, labels, recipe.branch, recipe.dropout)

    def prepare(self, features: Tensor) -> Tensor:
        """Raw encoder features (N, width) as the networks take them."""
        return functional.normalize(features, dim=1) if self.recipe.normalise else features

    def sources(self, image: Tensor, text: Tensor) -> tuple[Tensor, ...]:
        """What the classifier reads: prepared features and their cooked counterparts."""
        image, text = self.prepare(image), self.prepare(text)
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

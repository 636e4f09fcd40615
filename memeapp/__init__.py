"""People judge memes and a model learns from them: SemiMemes as an app."""

__version__ = "0.1.0"

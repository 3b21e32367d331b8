"""The backend: how a decoder runs, and how its attention and embeddings are seen and changed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch

from tokimp.errors import UnsupportedError
from tokimp.models.loading import LoadedModel


class Backend(ABC):
    """A way to run a transformers decoder and to reach inside it.

    A subclass runs one loaded model, which it owns and may change. It must write `forward` and `forward_embeddings`.
    The rest is optional: a backend that shows attention writes `attention_layers`, `forward_attention`,
    `attention_module` and `output_projection`, one that can take attention away writes `forward_cut`. What is left out,
    or fails when the scorer tries it on the model, the scorer does not claim to have. A scorer names its backend in
    `CausalLMScorer.backend_class`.

    The keyword arguments ``inputs`` (``past_key_values``, ``use_cache``, ``logits_to_keep``) are meant for the model
    and must reach it unchanged. With ``logits_to_keep`` a model may return the logits of the last positions only.

    Parameters
    ----------
    loaded
        The model, its tokenizer and where they are.

    Attributes
    ----------
    model
        The transformers model.

    Raises
    ------
    UnsupportedError
        If the backend does not know the model's architecture.

    Examples
    --------
    A whole backend on torch's own hooks, for models whose modules have the names of llama's:

    >>> from contextlib import ExitStack
    >>> class HookBackend(Backend):
    ...     def __init__(self, loaded):
    ...         super().__init__(loaded)
    ...         self.model.set_attn_implementation("eager")  # a fused attention has no weights to show
    ...         self.layers = loaded.model.model.layers
    ...         self.attention_layers = frozenset(range(len(self.layers)))
    ...
    ...     def forward(self, input_ids, **inputs):
    ...         return self.model(input_ids, **inputs).logits
    ...
    ...     def forward_embeddings(self, input_ids, substitute, **inputs):
    ...         embedding = self.model.get_input_embeddings()
    ...         with embedding.register_forward_hook(lambda module, arguments, output: substitute(output)):
    ...             return self.forward(input_ids, **inputs)
    ...
    ...     def forward_attention(self, input_ids, layers, visit, **inputs):
    ...         with ExitStack() as hooks:
    ...             for layer in layers:
    ...                 show = lambda module, arguments, output, layer=layer: visit(layer, output[1])
    ...                 hooks.enter_context(self.layers[layer].self_attn.register_forward_hook(show))
    ...             return self.forward(input_ids, **inputs)
    ...
    ...     def attention_module(self, layer):
    ...         return self.layers[layer].self_attn
    ...
    ...     def output_projection(self, layer):
    ...         return self.layers[layer].self_attn.o_proj

    A scorer with this backend, on a small random model:

    >>> from tokimp.models.causal_lm import CausalLMScorer
    >>> class HookScorer(CausalLMScorer):
    ...     backend = "hooks"
    ...     backend_class = HookBackend
    >>> from tokimp.testing import check_scorer
    >>> from tokimp.testing.random_models import byte_tokenizer, random_model
    >>> scorer = HookScorer(random_model("llama"), device="cpu", tokenizer=byte_tokenizer())
    >>> check_scorer(scorer)
    >>> from tokimp.contracts.scorer import Capability
    >>> [capability.value for capability in Capability if capability not in scorer.capabilities]
    ['knockout', 'knockout_logprobs']
    """

    attention_layers: frozenset[int] = frozenset()
    """The layers that have attention weights to show."""
    runs_the_plain_model: ClassVar[bool] = False
    """Whether `forward` gives what the transformers model gives by itself, as long as nobody has set hooks.

    Then numbers that need no look inside come from a copy of the model's modules that shares its weights: without the
    backend, and so without its cost.
    """
    attention_implementation: ClassVar[str | None] = None
    """How that copy computes attention (a name of transformers'); ``None`` as the model was loaded."""

    otherwise: str = ""
    """What to do about a model that this backend cannot show, as the begin of a list: ``"use backend='...', or "``."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.model: Any = loaded.model

    @abstractmethod
    def forward(self, input_ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
        """Return the logits of ids, [batch, position, vocabulary].

        Parameters
        ----------
        input_ids
            [batch, position]
        **inputs
            Passed to the model.
        """

    @abstractmethod
    def forward_embeddings(
        self, input_ids: torch.Tensor, substitute: Callable[[torch.Tensor], torch.Tensor], **inputs: Any
    ) -> torch.Tensor:
        """Return the logits when other embeddings take the place of the tokens' own.

        Parameters
        ----------
        input_ids
            [batch, position]
        substitute
            Maps the output of the token-embedding module, [batch, position, d_model], to what the model reads instead.
            Gradients must flow through it.
        **inputs
            Passed to the model.
        """

    @property
    def wrapper(self) -> Any:
        """The object of the backend's library through which a user sees and changes the model; else the model."""
        return self.model

    @property
    def root(self) -> torch.nn.Module:
        """The outermost module on which a user may set hooks: the model, or what wraps it."""
        root: torch.nn.Module = self.model
        return root

    def edits(self) -> list[Any]:
        """Return what a user has changed for good by means of the library, and not by hooks on modules."""
        return []

    def describe_edits(self) -> list[Any]:
        """Return for each of `edits` what it does, as lists and strings that are the same in every process."""
        return []

    def generate(self, **inputs: Any) -> torch.Tensor:
        """Return the ids that the model's own ``generate`` gives, through all that a user has changed."""
        ids: torch.Tensor = self.model.generate(**inputs)
        return ids

    def forward_attention(
        self, input_ids: torch.Tensor, layers: frozenset[int], visit: Callable[[int, torch.Tensor], None], **inputs: Any
    ) -> torch.Tensor | None:
        """Run the model and show the attention weights of some layers, each as soon as the layer has run.

        Parameters
        ----------
        input_ids
            [batch, position]
        layers
            Some of `attention_layers`.
        visit
            Called with a layer and its weights, [batch, head, query, key].
        **inputs
            Passed to the model.

        Returns
        -------
        torch.Tensor or None
            The logits, [batch, position, vocabulary], through which gradients reach the weights shown; ``None`` from a
            backend that gives no `Capability.ACTIVATIONS`.
        """
        raise UnsupportedError(f"{type(self).__name__} shows no attention")

    def attention_module(self, layer: int) -> torch.nn.Module:
        """Return the attention module of a layer, which transformers calls with the layer's ``attention_mask``."""
        raise UnsupportedError(f"{type(self).__name__} shows no attention module")

    def output_projection(self, layer: int) -> torch.nn.Module:
        """Return the module that maps a layer's concatenated heads to the residual stream."""
        raise UnsupportedError(f"{type(self).__name__} shows no output projection; use weights='pattern'")

    def forward_cut(self, input_ids: torch.Tensor, cut: torch.Tensor, **inputs: Any) -> torch.Tensor:
        """Return the logits without some of the attention, in all layers and heads.

        Parameters
        ----------
        input_ids
            [batch, position]
        cut
            True where a query may not attend to a key, [batch, query, key]. A query that would see nothing keeps what
            it sees (`tokimp.models.knockout.spared`).
        **inputs
            Passed to the model.
        """
        raise UnsupportedError(f"{type(self).__name__} cannot cut attention")

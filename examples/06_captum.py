"""Leave-one-out beside captum's FeatureAblation on the same model and chain: values and seconds, in one run.

Run ``python examples/06_captum.py CHAINS ID...``; it needs ``pip install captum``. captum is made to delete: its input
gives the model the ids that are left, and its values are log-probabilities of the answer, from one forward pass a
deletion. Each method is timed twice, in turn; the faster run counts.
"""

import sys
import time

import numpy as np
import torch
from captum.attr import FeatureAblation, LLMAttribution, TextTokenInput
from transformers import AutoModelForCausalLM, AutoTokenizer

import tokimp as ti
from tokimp.chains.chain import TokenizedChain
from tokimp.testing import smollm2_folder


class DeletedTokens(TextTokenInput):  # type: ignore[misc] # captum has no annotations
    """The reasoning tokens of a chain; those that are ablated are left out of what the model reads."""

    def __init__(self, chain: TokenizedChain, tokenizer: object) -> None:
        super().__init__(chain.chain.reasoning, tokenizer, baselines=0)
        self.prompt = torch.tensor([chain.prompt_ids])
        self.itp_tensor = torch.tensor([chain.reasoning_ids])
        self.values = [str(token) for token in chain.reasoning_ids]
        self.n_itp_features = len(chain.reasoning_ids)

    def to_tensor(self) -> torch.Tensor:
        """Return 1 for each token that is not ablated."""
        return torch.ones_like(self.itp_tensor)

    def to_model_input(self, perturbed_tensor: torch.Tensor | None = None) -> torch.Tensor:
        """Return the ids that are left, with the prompt before them."""
        left = self.itp_tensor if perturbed_tensor is None else self.itp_tensor[perturbed_tensor != 0][None]
        return torch.cat([self.prompt, left], dim=1)


folder = smollm2_folder()
weights = {"gguf_file": next(folder.glob("*.gguf")).name}
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **weights)
model.train(False)
tokenizer = AutoTokenizer.from_pretrained(folder, **weights)
scorer = ti.load_scorer(model, backend="transformer_lens", tokenizer=tokenizer)
ablation = LLMAttribution(FeatureAblation(model), tokenizer, attr_target="log_prob")
leave_one_out = ti.load_estimator("leave_one_out")
print(f"{'chain':<20}{'tokens':>8}{'captum s':>10}{'tokimp s':>10}{'faster':>8}{'largest difference, nats':>26}")
for chain in ti.load_chains(sys.argv[1]):
    if chain.id not in sys.argv[2:]:
        continue
    tokenized = ti.tokenize_chain(chain, tokenizer)
    seconds: dict[str, list[float]] = {"captum": [], "tokimp": []}
    for _ in range(2):
        begin = time.perf_counter()
        with torch.no_grad():
            target = torch.tensor(tokenized.answer_ids)
            ablated = ablation.attribute(DeletedTokens(tokenized, tokenizer), target=target, forward_in_tokens=False)
        theirs = ablated.seq_attr.numpy()
        seconds["captum"].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        ours = leave_one_out.estimate(tokenized, scorer, ti.load_objective("answer")).scores
        seconds["tokimp"].append(time.perf_counter() - begin)
    slow, fast = (min(times) for times in seconds.values())
    difference = float(np.abs(ours - theirs).max())
    print(f"{chain.id:<20}{len(ours):>8}{slow:>10.1f}{fast:>10.1f}{slow / fast:>8.1f}{difference:>26.1e}", flush=True)

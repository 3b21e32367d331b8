"""Write a small model with random weights that reads 4,096 tokens: what cost grows like does not depend on the weights.

``python examples/07_long_model.py FOLDER``, then ``tokimp bench CHAINS --model FOLDER --lengths 50,100,200,500,1000``.
"""

import sys

from transformers import LlamaConfig, LlamaForCausalLM, set_seed

import tokimp as ti

set_seed(0)
tokenizer = ti.load_scorer("tiny").tokenizer
config = LlamaConfig(
    vocab_size=len(tokenizer),
    max_position_embeddings=4096,
    hidden_size=128,
    intermediate_size=384,
    num_hidden_layers=4,
    num_attention_heads=4,
)
model = LlamaForCausalLM(config)
model.save_pretrained(sys.argv[1])
tokenizer.save_pretrained(sys.argv[1])
